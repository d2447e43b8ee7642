"""The project's files, loaded and checked against each other; every problem is reported at once."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from etl_model.document import Document, Location, read_document
from etl_model.environment import Environment
from etl_model.pipeline import Pipeline
from etl_model.problems import ConfigurationError, Problem

Model = TypeVar("Model", bound=BaseModel)
_UNION_TAGS = {"postgresql", "snowflake"}


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that holds cdk.json; ConfigurationError when there is none."""
    for folder in (start, *start.parents):
        if (folder / "cdk.json").is_file():
            return folder
    raise ConfigurationError(
        [
            Problem(
                str(start),
                "neither this folder nor one above it is the project (no cdk.json)",
                "Change into the project",
            )
        ]
    )


def load_environment(path: Path) -> Environment:
    return _load(path, Environment)


def load_environments(folder: Path) -> dict[str, Environment]:
    """Every environments/*.yaml by name, in the order of promotion where the file says none: alphabetical."""
    return _load_all(sorted(folder.glob("*.yaml")), Environment, lambda path: path.stem, f"{folder.name}/NAME.yaml")


def load_pipeline(path: Path) -> Pipeline:
    """One pipeline.yaml, with the files that it names checked to exist beside it."""
    pipeline = _load(path, Pipeline)
    document = read_document(path)
    problems = [
        Problem(document.where(("marts", i, "sql")), f"{mart.sql} does not exist beside the pipeline file", "Create it")
        for i, mart in enumerate(pipeline.marts)
        if not (path.parent / mart.sql).is_file()
    ]
    for i, table in enumerate(pipeline.tables):
        if table.transform and not (path.parent / table.transform.split(":")[0]).is_file():
            place = document.where(("tables", i, "transform"))
            problems.append(
                Problem(place, f"{table.transform.split(':')[0]} does not exist beside the pipeline file", "Create it")
            )
    if problems:
        raise ConfigurationError(problems)
    return pipeline


def load_pipelines(folder: Path) -> dict[str, Pipeline]:
    """Every pipelines/NAME/pipeline.yaml by name."""
    paths = sorted(folder.glob("*/pipeline.yaml"))
    return _load_all(paths, Pipeline, lambda path: path.parent.name, f"{folder.name}/NAME/pipeline.yaml", load_pipeline)


def check_connections(pipelines: Iterable[Pipeline], environment: Environment, pipelines_folder: Path) -> None:
    """Raises ConfigurationError when a pipeline names a connection that the environment lacks or of the wrong kind."""
    problems = []
    known = ", ".join(f"{name} ({connection.kind})" for name, connection in environment.connections.items()) or "none"
    for pipeline in pipelines:
        document = read_document(pipelines_folder / pipeline.name / "pipeline.yaml")
        wanted: list[tuple[Location, str, str]] = [
            (("tables", i, "source", "connection"), table.source.connection, "postgresql")
            for i, table in enumerate(pipeline.tables)
        ]
        if pipeline.warehouse:
            wanted.append((("warehouse", "connection"), pipeline.warehouse.connection, "snowflake"))
        for location, name, kind in wanted:
            way_out = f"Add it to environments/{environment.name}.yaml or use one of: {known}"
            connection = environment.connections.get(name)
            if connection is None:
                what = f"environment {environment.name} has no connection {name!r}"
                problems.append(Problem(document.where(location), what, way_out))
            elif connection.kind != kind:
                what = f"connection {name!r} of environment {environment.name} is {connection.kind}; {kind} is needed"
                problems.append(Problem(document.where(location), what, way_out))
    if problems:
        raise ConfigurationError(problems)


def _load_all(
    paths: list[Path],
    model: type[Model],
    name_of: Callable[[Path], str],
    form: str,
    load: Callable[[Path], Model] | None = None,
) -> dict[str, Model]:
    loaded: dict[str, Model] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            item = load(path) if load else _load(path, model)
        except ConfigurationError as error:
            problems += error.problems
            continue
        name, expected = getattr(item, "name", None), name_of(path)
        if name != expected:
            where = read_document(path).where(("name",))
            problems.append(
                Problem(where, f"name is {name!r} but the file is that of {expected!r} ({form})", "Make them the same")
            )
        loaded[expected] = item
    if problems:
        raise ConfigurationError(problems)
    return loaded


def _load(path: Path, model: type[Model]) -> Model:
    document = read_document(path)
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ConfigurationError([_problem(document, model, dict(item)) for item in error.errors()]) from None


def _problem(document: Document, model: type[BaseModel], error: dict[str, Any]) -> Problem:
    location: Location = tuple(part for part in error["loc"] if part not in _UNION_TAGS)
    where, kind = document.where(location), error["type"]
    if kind == "extra_forbidden":
        allowed = _keys_at(model, error["loc"][:-1])
        return Problem(
            where, f"unknown key {location[-1]!r}", f"Allowed here: {', '.join(allowed)}" if allowed else "Remove it"
        )
    if kind == "missing":
        return Problem(document.where(location[:-1]), f"{location[-1]!r} is missing", "Add it")
    message = error["msg"].removeprefix("Value error, ")
    value = error.get("input")
    quoted = f" (found {value!r})" if isinstance(value, str | int | float | bool) and repr(value) not in message else ""
    return Problem(where, f"{message}{quoted}", "")


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys allowed in the mapping at `location`, found by walking the models' annotations."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        found: list[type[BaseModel]] = []
        for candidate in models:
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    found += _models_in(field.annotation)
            if part in _UNION_TAGS and candidate.model_fields.get("kind"):
                found += [candidate] if part in str(candidate.model_fields["kind"].annotation) else []
        # A key of a dict of models (connections.NAME) names no field: stay with the models of its values.
        models = found or models
    return [field.alias or name for candidate in models[:1] for name, field in candidate.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
