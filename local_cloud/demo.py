"""`make demo`: the main job on real input, from an empty machine to answers compared with the source's own.

It can be interrupted and started again at any point: every step does what is still to do. The data stays in .local.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from etl_model.project import find_project
from local_cloud import control, demo_comparison, tpch_changes
from local_cloud.control import LocalCloudError
from operations import local
from operations.failures import OperationError
from operations.follow import follow_run
from operations.run_result import RunResult, read_result
from operations.run_tables import duration, print_run, report_view
from operations.target import Target
from operations.workflow import new_run_id, recent_runs, start_run

PIPELINE = "sales"
# Batches of changes follow one another; each has a seed of its own, so that the demo can be repeated.
FIRST_SEED = 20260101


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the main job in the local cloud.")
    parser.add_argument("--scale", type=float, default=0.01, help="TPC-H scale: 0.01 is 60,000 lineitem rows")
    parser.add_argument("--keep-running", action="store_true", help="leave the local cloud running at the end")
    options = parser.parse_args()
    console = Console(highlight=False)
    project = find_project(Path.cwd())
    started = time.monotonic()
    try:
        succeeded = _demonstrate(console, project, options.scale)
    except (OperationError, LocalCloudError) as error:
        console.print(Text(f"\nThe demo cannot go on. {error}", style="red"))
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything so far is kept. `make demo` goes on from here.")
        return 130
    finally:
        if not options.keep_running:
            control.stop(project)
    _tell_what_next(console, project, time.monotonic() - started)
    return 0 if succeeded else 1


def _demonstrate(console: Console, project: Path, scale: float) -> bool:
    with _step(console, "Local cloud", "PostgreSQL with TPC-H, an AWS emulator, a Snowflake double"):
        # Synth needs no cloud, and a cold JVM no deployment: what does not depend on each other starts together.
        control.start(project, f"{scale:g}")
        control.warm_up(project)
    with _step(console, "Deploy", "the real CDK CLI: bootstrap, then every stack of environment local"):
        local.deploy(project, say=lambda line: console.print(Text(f"  {line}", style="dim")))
    target = local.local_target(project)
    _wait_for_an_interrupted_run(console, target)
    with _step(console, "First run", "the deployed Glue workflow of the pipeline sales: full load of what is new"):
        first = _run(console, target)
    if first.exit_code:
        print_run(console, first)
        return False
    with _step(console, "Changes", "a batch in the source: inserts, updates, hard deletes, and rows that break checks"):
        _change_the_source(console, project)
        control.warm_up(project)
    with _step(console, "Second run", "the same workflow, incrementally"):
        second = _run(console, target)
    console.print()
    console.print(Rule("First run", align="left"))
    console.print(report_view(first.report))
    console.print(Rule("Second run", align="left"))
    if second.exit_code:
        print_run(console, second)
        return False
    console.print(report_view(second.report))
    with _step(console, "Comparison", "the same questions to PostgreSQL, the lake and the warehouse"):
        found = demo_comparison.compare(target, PIPELINE)
    console.print(found.view())
    return found.equal


def _run(console: Console, target: Target) -> RunResult:
    workflow_run_id = start_run(target, PIPELINE, run_id=new_run_id(datetime.now(UTC)), mode="incremental")
    return read_result(
        target, follow_run(target, PIPELINE, workflow_run_id, console=console, seconds_between_looks=0.5)
    )


def _wait_for_an_interrupted_run(console: Console, target: Target) -> None:
    active = next((run for run in recent_runs(target, PIPELINE, limit=3) if run.is_active), None)
    if active is not None:
        console.print(f"  run {active.run_id} is still active; following it first")
        follow_run(target, PIPELINE, active.workflow_run_id, console=console)


def _change_the_source(console: Console, project: Path) -> None:
    login = control.database_login(project, "erp")
    connection = login.connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select batches from local_cloud_tpch")
            batch = int(cursor.fetchone()[0])
    finally:
        connection.close()
    counts = tpch_changes.changes(login, seed=FIRST_SEED + batch)
    table = Table("table", "inserted", "of these invalid", "updated", "deleted", box=None, padding=(0, 2, 0, 2))
    for name, found in counts.items():
        table.add_row(name, *(str(found[kind]) for kind in ("inserted", "invalid", "updated", "deleted")))
    console.print(table)


@contextmanager
def _step(console: Console, name: str, what: str) -> Iterator[None]:
    console.print(Text.assemble((f"▶ {name}", "bold"), f"  {what}"))
    started = time.monotonic()
    yield
    console.print(Text(f"  done in {duration(time.monotonic() - started)}", style="green"))


def _tell_what_next(console: Console, project: Path, seconds: float) -> None:
    console.print(Text(f"\nThe demo took {duration(seconds)}. What to open next:", style="bold"))
    for what, command in (
        ("start the local cloud again", ".venv/bin/etl local start"),
        ("ask the lake", '.venv/bin/etl query "SELECT * FROM orders LIMIT 5" --on lake'),
        ("the rows that failed a check", '.venv/bin/etl query "SELECT * FROM local_sales_quarantine.orders" --on lake'),
        ("ask the warehouse", '.venv/bin/etl query "SELECT count(*) FROM orders" --on warehouse'),
        ("past runs", ".venv/bin/etl status sales"),
        ("your own table and pipeline", "docs/add-a-pipeline.md"),
        ("templates that were deployed", "cdk.out/assembly-local/"),
    ):
        console.print(f"  {what}:")
        # Whole, so that it can be copied: a terminal wraps what is too long for it.
        console.print(Text(f"    {command}", style="cyan"), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
