"""The platform as a CDK app: one stage an environment, and in it one stack a pipeline.

cdk synth                                  every environment, offline
cdk synth -c environment=local             one, or several separated by commas
cdk deploy "production/*"                  an environment
cdk deploy production/sales                one pipeline of it
"""

import re
import sys
from pathlib import Path

from aws_cdk import App

from etl_constructs.template_limits import check_templates
from etl_model.environment import Environment
from etl_model.problems import ConfigurationError, Problem
from etl_model.project import check_connections, load_environment, load_environments, load_pipelines
from stacks.deployment import Sources
from stacks.environment_stage import EnvironmentStage

PROJECT = Path(__file__).resolve().parent


def add_stages(app: App, *, project: Path = PROJECT) -> None:
    """Adds the stages that the app's context asks for; ConfigurationError says everything that is wrong."""
    folder = _folder(app, "pipelines", project=project)
    problems: list[Problem] = []
    pipelines, environments = {}, {}
    try:
        pipelines = load_pipelines(folder)
    except ConfigurationError as error:
        problems += error.problems
    try:
        environments = _asked_environments(app, folder=_folder(app, "environments", project=project))
    except ConfigurationError as error:
        problems += error.problems
    for environment in environments.values():
        try:
            check_connections(pipelines.values(), environment, folder)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    for environment in environments.values():
        EnvironmentStage(
            app,
            environment.name,
            environment=environment,
            pipelines=list(pipelines.values()),
            sources=Sources(
                glue_scripts=project / "glue_scripts", pipelines=folder, wheels=project / "build" / "wheels"
            ),
            prefix=_prefix(app),
        )


def main() -> int:
    """Exit code 1 and every problem in words when the configuration cannot be used."""
    # CDK's own validation of templates takes 6 s of every synth; cfn-lint checks the same in the tests.
    app = App(builtin_cloud_formation_validation=False)
    try:
        add_stages(app)
        check_templates(app.synth())
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the CDK CLI shows what its app prints
        return 1
    return 0


def _folder(app: App, name: str, *, project: Path) -> Path:
    return project / str(app.node.try_get_context(name) or name)


def _asked_environments(app: App, *, folder: Path) -> dict[str, Environment]:
    """Those that `-c environment=NAME[,NAME]` names, or all. What is not asked for may be broken."""
    text = str(app.node.try_get_context("environment") or "")
    asked = [name.strip() for name in text.split(",") if name.strip()]
    if not asked:
        return load_environments(folder)
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    unknown = [
        Problem(f"-c environment={name}", "there is no such environment", f"Use one of: {', '.join(known)}")
        for name in asked
        if name not in known
    ]
    if unknown:
        raise ConfigurationError(unknown)
    return {name: load_environment(folder / f"{name}.yaml") for name in asked}


def _prefix(app: App) -> str:
    """Tells a feature branch's own copy from the environment itself: `-c feature=NAME`."""
    prefix = str(app.node.try_get_context("feature") or "")
    if prefix and not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", prefix):
        way_out = "Use at most 20 lower-case letters, digits and dashes, beginning with a letter"
        raise ConfigurationError([Problem(f"-c feature={prefix}", "it cannot be part of names", way_out)])
    return prefix


if __name__ == "__main__":
    sys.exit(main())
