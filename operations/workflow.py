"""A pipeline's Glue workflow: start, read and stop its runs."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from botocore.exceptions import ClientError

from operations.failures import EXIT_BUSY, error_code, failure
from operations.target import Target
from operations.workflow_run import Mode, WorkflowRun, read_workflow_run


def new_run_id(now: datetime) -> str:
    """An id that sorts by time, such as 20261123T201344-ab12cd; `now` is in UTC."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def start_run(target: Target, pipeline: str, *, run_id: str, mode: Mode, tables: tuple[str, ...] = ()) -> str:
    """Starts the workflow and returns Glue's id of the run; exit code 3 when another run of the pipeline is active."""
    properties = {"run_id": run_id, "mode": mode}
    if tables:
        properties["tables"] = ",".join(tables)
    name = target.names.workflow(pipeline)
    try:
        with _deployed(target, pipeline):
            return target.glue.start_workflow_run(Name=name, RunProperties=properties)["RunId"]
    except ClientError as error:
        if error_code(error) != "ConcurrentRunsExceededException":
            raise
    active = next((run for run in recent_runs(target, pipeline, limit=5) if run.is_active), None)
    which = (
        f": {active.run_id} ({active.workflow_run_id}), since {active.started:%Y-%m-%d %H:%M:%S %Z}" if active else ""
    )
    raise failure(
        f"pipeline {pipeline}",
        f"another run is active{which}",
        f"Watch it with: etl follow {pipeline} {environment_option(target)}. Then repeat the command",
        exit_code=EXIT_BUSY,
    )


def get_run(target: Target, pipeline: str, workflow_run_id: str) -> WorkflowRun:
    """The run as it is now, with its jobs' attempts."""
    name = target.names.workflow(pipeline)
    with _deployed(target, pipeline):
        response = target.glue.get_workflow_run(Name=name, RunId=workflow_run_id, IncludeGraph=True)
    return read_workflow_run(response["Run"], pipeline=pipeline, names=target.names)


def recent_runs(target: Target, pipeline: str, *, limit: int) -> list[WorkflowRun]:
    """The newest `limit` runs, newest first. Glue keeps runs for 90 days."""
    name = target.names.workflow(pipeline)
    with _deployed(target, pipeline):
        # Without the graphs, which are read only for the runs that are asked for: a graph repeats every job argument.
        pages = target.glue.get_paginator("get_workflow_runs").paginate(Name=name, IncludeGraph=False)
        found = [(run["StartedOn"], run["WorkflowRunId"]) for page in pages for run in page["Runs"]]
    newest = sorted(found, reverse=True)[:limit]
    return [get_run(target, pipeline, workflow_run_id) for _, workflow_run_id in newest]


def stop_run(target: Target, pipeline: str, workflow_run_id: str) -> None:
    """Asks Glue to stop the jobs of a run; what they have not published stays invisible."""
    target.glue.stop_workflow_run(Name=target.names.workflow(pipeline), RunId=workflow_run_id)


def environment_option(target: Target) -> str:
    """The options that name this target, to be repeated in commands that are proposed."""
    prefix = f" --prefix {target.names.prefix}" if target.names.prefix else ""
    return f"--environment {target.environment.name}{prefix}"


@contextmanager
def _deployed(target: Target, pipeline: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error_code(error) not in ("EntityNotFoundException", "ResourceNotFoundException"):
            raise
        raise failure(
            f"pipeline {pipeline}",
            f"it is not deployed in environment {target.environment.name} "
            f"(no Glue workflow {target.names.workflow(pipeline)})",
            f"Deploy it with: {target.deploy_command}",
        ) from error
