"""etl run, follow, resume, stop and status."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from etl_model.pipeline import Pipeline
from operations.command import (
    EnvironmentOption,
    JsonOption,
    PipelineArgument,
    PrefixOption,
    output,
    progress,
    readable_failures,
    target_of,
    write_document,
)
from operations.failures import EXIT_INTERRUPTED, failure
from operations.follow import follow_run
from operations.run_document import run_document
from operations.run_history import find_run, history, history_document, history_table, run_to_resume
from operations.run_result import read_result
from operations.run_tables import print_run
from operations.target import Target
from operations.workflow import environment_option, new_run_id, recent_runs, start_run, stop_run
from operations.workflow_run import Mode

RunOption = Annotated[
    str | None, typer.Option("--run", help="A run id; without it the newest run.", show_default=False)
]
RUNS_SHOWN = 10


def run(
    pipeline: PipelineArgument,
    environment: EnvironmentOption = "local",
    tables: Annotated[str, typer.Option(help="Only these tables: a,b", show_default=False)] = "",
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read every row again, not only changes.")
    ] = False,
    as_json: JsonOption = False,
    prefix: PrefixOption = "",
) -> None:
    """Start a pipeline, follow it until it ends, and show what it did.

    Exit code: 0 the run succeeded, 1 it failed, 2 it could not be started, 3 another run of the pipeline is active.
    """
    with readable_failures(as_json=as_json):
        target = target_of(environment, prefix)
        chosen = choose_tables(target.pipeline(pipeline), tables)
        run_id = new_run_id(datetime.now(UTC))
        mode: Mode = "full_refresh" if full_refresh else "incremental"
        workflow_run_id = start_run(target, pipeline, run_id=run_id, mode=mode, tables=chosen)
        _follow_to_the_end(target, pipeline, run_id, workflow_run_id, as_json=as_json)


def resume(
    pipeline: PipelineArgument,
    environment: EnvironmentOption = "local",
    run_id: RunOption = None,
    as_json: JsonOption = False,
    prefix: PrefixOption = "",
) -> None:
    """Continue a failed run from the stage that failed, with the same run id, mode and tables."""
    with readable_failures(as_json=as_json):
        target = target_of(environment, prefix)
        target.pipeline(pipeline)
        failed = run_to_resume(target, pipeline, run_id=run_id)
        workflow_run_id = start_run(target, pipeline, run_id=failed.run_id, mode=failed.mode, tables=failed.tables)
        _follow_to_the_end(target, pipeline, failed.run_id, workflow_run_id, as_json=as_json)


def follow(
    pipeline: PipelineArgument,
    environment: EnvironmentOption = "local",
    run_id: RunOption = None,
    as_json: JsonOption = False,
    prefix: PrefixOption = "",
) -> None:
    """Watch a run that is active, or show one that has ended; the exit code is the outcome, as for `etl run`."""
    with readable_failures(as_json=as_json):
        target = target_of(environment, prefix)
        target.pipeline(pipeline)
        found = find_run(target, pipeline, run_id=run_id)
        _follow_to_the_end(target, pipeline, found.run_id, found.workflow_run_id, as_json=as_json)


def stop(pipeline: PipelineArgument, environment: EnvironmentOption = "local", prefix: PrefixOption = "") -> None:
    """Stop the active run of a pipeline; what it has not published stays invisible, and `etl resume` continues it."""
    with readable_failures():
        target = target_of(environment, prefix)
        target.pipeline(pipeline)
        active = next((run for run in recent_runs(target, pipeline, limit=3) if run.is_active), None)
        if active is None:
            raise failure(
                f"pipeline {pipeline}", "no run is active", f"See: etl status {pipeline} {environment_option(target)}"
            )
        stop_run(target, pipeline, active.workflow_run_id)
        output().print(
            Text(f"stopping run {active.run_id}; watch it with: etl follow {pipeline} {environment_option(target)}")
        )


def status(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="Without it: the newest run of every pipeline.")
    ] = None,
    environment: EnvironmentOption = "local",
    as_json: JsonOption = False,
    prefix: PrefixOption = "",
) -> None:
    """Show the last runs, and what is running."""
    with readable_failures(as_json=as_json):
        target = target_of(environment, prefix)
        if pipeline:
            target.pipeline(pipeline)
        names = [pipeline] if pipeline else target.pipeline_names()
        found = history(target, names, limit=RUNS_SHOWN if pipeline else 1)
        if pipeline and (error := found[0].error):
            raise error
        if as_json:
            write_document(history_document(found, environment=environment, now=datetime.now(UTC)))
            return
        output().print(history_table(found, target=target, of_one_pipeline=pipeline is not None, now=datetime.now(UTC)))


def choose_tables(pipeline: Pipeline, text: str) -> tuple[str, ...]:
    """The tables of `a,b`, each one known to the pipeline; empty for all."""
    chosen = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    known = [table.name for table in pipeline.tables]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        what = f"pipeline {pipeline.name} has no table {' and no table '.join(map(repr, unknown))}"
        raise failure("--tables", what, f"Its tables: {', '.join(known)}")
    return chosen


def _follow_to_the_end(target: Target, pipeline: str, run_id: str, workflow_run_id: str, *, as_json: bool) -> None:
    console = progress()
    console.print(Text(f"{pipeline} in {target.environment.name}: run {run_id}"))
    try:
        ended = follow_run(target, pipeline, workflow_run_id, console=console)
    except KeyboardInterrupt:
        _say_that_it_goes_on(target, pipeline, run_id, console)
        if as_json:
            write_document({"state": "running", "run_id": run_id, "workflow_run_id": workflow_run_id, "errors": []})
        raise typer.Exit(EXIT_INTERRUPTED) from None
    result = read_result(target, ended)
    if as_json:
        write_document(run_document(result, environment=target.environment.name, now=datetime.now(UTC)))
    else:
        print_run(output(), result)
    raise typer.Exit(result.exit_code)


def _say_that_it_goes_on(target: Target, pipeline: str, run_id: str, console: Console) -> None:
    options = environment_option(target)
    console.print(
        Text(
            f"\nRun {run_id} goes on; only the watching has ended.\n"
            f"  watch it again: etl follow {pipeline} {options}\n"
            f"  stop it:        etl stop {pipeline} {options}"
        ),
        soft_wrap=True,
    )
