"""The runs of pipelines: which were, which is active, which can be resumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from operations.failures import OperationError, failure
from operations.run_document import problem_documents, run_summary
from operations.run_report import RunReport, read_run_report
from operations.run_tables import count_text, duration, problem_view, state_text
from operations.target import Target
from operations.workflow import environment_option, recent_runs
from operations.workflow_run import WorkflowRun

# Glue keeps runs for 90 days; a run id is looked for among so many of the newest.
_RUNS_SEARCHED = 50


@dataclass(frozen=True)
class PipelineHistory:
    """The newest runs of one pipeline, newest first; `error` says why they cannot be read, such as not deployed."""

    pipeline: str
    runs: tuple[tuple[WorkflowRun, RunReport], ...] = ()
    error: OperationError | None = None


def history(target: Target, pipelines: Sequence[str], *, limit: int) -> list[PipelineHistory]:
    """The newest `limit` runs of each pipeline. One pipeline that is not deployed does not hide the others."""
    return [_history_of(target, pipeline, limit) for pipeline in pipelines]


def _history_of(target: Target, pipeline: str, limit: int) -> PipelineHistory:
    try:
        runs = recent_runs(target, pipeline, limit=limit)
        reports = [read_run_report(target.s3, names=target.names, pipeline=pipeline, run_id=run.run_id) for run in runs]
    except OperationError as error:
        return PipelineHistory(pipeline=pipeline, error=error)
    return PipelineHistory(pipeline=pipeline, runs=tuple(zip(runs, reports, strict=True)))


def find_run(target: Target, pipeline: str, *, run_id: str | None) -> WorkflowRun:
    """The newest workflow run, or the newest of the logical run `run_id`; OperationError when there is none."""
    see = f"See: etl status {pipeline} {environment_option(target)}"
    if run_id is None:
        newest = recent_runs(target, pipeline, limit=1)
        if not newest:
            way_out = f"Start it with: etl run {pipeline} {environment_option(target)}"
            raise failure(f"pipeline {pipeline}", "it has not run yet", way_out)
        return newest[0]
    runs = recent_runs(target, pipeline, limit=_RUNS_SEARCHED)
    for run in runs:
        if run_id in (run.run_id, run.workflow_run_id):
            return run
    raise failure("--run", f"no run {run_id!r} among the last {len(runs)} of {pipeline}", see)


def run_to_resume(target: Target, pipeline: str, *, run_id: str | None) -> WorkflowRun:
    """The failed run that `etl resume` continues: the newest one, which a run that succeeded since then rules out."""
    run = find_run(target, pipeline, run_id=run_id)
    options = environment_option(target)
    if run.state == "running":
        raise failure(f"run {run.run_id}", "it is active", f"Watch it with: etl follow {pipeline} {options}")
    if run.state == "succeeded":
        raise failure(
            f"run {run.run_id}",
            "it succeeded, so there is nothing to resume",
            f"Start a new one: etl run {pipeline} {options}",
        )
    return run


def history_table(
    found: Sequence[PipelineHistory], *, target: Target, of_one_pipeline: bool, now: datetime
) -> RenderableType:
    """The runs as a table, and the pipelines that have none below it."""
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False, header_style="bold")
    drawn.add_column("run" if of_one_pipeline else "pipeline", overflow="fold")
    drawn.add_column("state", no_wrap=True)
    drawn.add_column("started UTC", no_wrap=True)
    for heading in ("took", "read", "loaded"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for pipeline in found:
        for run, report in pipeline.runs:
            broken = run.broken_stage
            drawn.add_row(
                Text(run.run_id if of_one_pipeline else run.pipeline),
                state_text(
                    run.state, f": {_active_stage(run)}" if run.is_active else f": {broken.stage}" if broken else ""
                ),
                f"{run.started.astimezone(UTC):%d %b %H:%M}",
                duration(run.seconds(now)),
                count_text(report.total("source_rows")),
                count_text(report.rows_loaded),
            )
    parts: list[RenderableType] = [drawn] if drawn.row_count else []
    for pipeline in found:
        if pipeline.error:
            parts.append(problem_view(pipeline.error.problems))
        elif not pipeline.runs:
            command = f"etl run {pipeline.pipeline} {environment_option(target)}"
            parts.append(Text(f"pipeline {pipeline.pipeline}: it has not run yet. Start it with: {command}"))
    return Group(*parts) if parts else Text("There are no pipelines yet: add one as docs/add-a-pipeline.md says")


def history_document(found: Sequence[PipelineHistory], *, environment: str, now: datetime) -> dict[str, Any]:
    """{"environment", "pipelines": [{"pipeline", "active_run_id", "runs": [summary], "errors"}]}, newest run first."""
    return {
        "environment": environment,
        "pipelines": [
            {
                "pipeline": pipeline.pipeline,
                "active_run_id": next((run.run_id for run, _ in pipeline.runs if run.is_active), None),
                "runs": [run_summary(run, report, environment=environment, now=now) for run, report in pipeline.runs],
                "errors": problem_documents(pipeline.error.problems) if pipeline.error else [],
            }
            for pipeline in found
        ],
    }


def _active_stage(run: WorkflowRun) -> str:
    at_work = [stage.stage for stage in run.stages if stage.state in ("starting", "running", "stopping")]
    return at_work[0] if at_work else "starting"
