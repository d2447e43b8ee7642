"""What people see of a run: nothing cut off at 80 columns, no escape codes in a pipe, NULL unlike an empty text."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType

from etl_model.names import Stage
from etl_model.problems import Problem
from operations.run_report import RunReport, StageReport
from operations.run_result import RunResult
from operations.run_tables import duration, print_run, report_view
from operations.workflow_run import StageRun, WorkflowRun

Content = Mapping[str, object]
NOW = datetime(2026, 11, 23, 20, 13, 44, tzinfo=UTC)


def drawn(view: RenderableType, *, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(view)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def report(
    *,
    extract: Content | None = None,
    transform: Content | None = None,
    validate: Content | None = None,
    load: Content | None = None,
) -> RunReport:
    contents: dict[Stage, Content | None]
    contents = {"extract": extract, "transform": transform, "validate": validate, "load": load}
    stages = {stage: _stage_report(stage, content) for stage, content in contents.items() if content is not None}
    return RunReport(pipeline="shop", run_id="r1", stages=stages)


def _stage_report(stage: Stage, content: Content) -> StageReport:
    constant = {"environment": "local", "pipeline": "shop", "run_id": "r1", "job_run_id": "jr_1", "status": "succeeded"}
    times = {"started_at": NOW, "finished_at": NOW, "seconds": 9.0}
    return StageReport.model_validate({"stage": stage, **constant, **times, **content})


EXTRACT = {"orders": {"source_rows": 3_000_000, "unchanged_rows": 2_970_000, "raw_rows": 30_000, "seconds": 7.25}}
VALIDATE = {"orders": {"quarantined_rows": 3, "seconds": 0.5}}
LOAD = {
    "orders": {"inserted_rows": 20_000, "updated_rows": 9_997, "deleted_rows": 12, "seconds": 30.0},
    "daily_revenue": {"inserted_rows": 4, "seconds": 1.0},
}


def test_rows_and_seconds_of_each_table_fit_80_columns() -> None:
    transform = {"tables": {"orders": {"superseded_rows": 5, "seconds": 2.0}}}
    view = report_view(
        report(extract={"tables": EXTRACT}, transform=transform, validate={"tables": VALIDATE}, load={"tables": LOAD})
    )
    assert drawn(view) == [
        "",
        "Rows",
        "                                                           super- quaran-",
        "table              read unchanged inserted updated deleted  seded   tined",
        "─────────────────────────────────────────────────────────────────────────",
        "orders        3,000,000 2,970,000   20,000   9,997      12      5       3",
        "daily_revenue         –         –        4       –       –      –       –",
        "",
        "all           3,000,000 2,970,000   20,004   9,997      12      5       3",
        "",
        "Seconds",
        "table          extract  transform  validate  load",
        "─────────────────────────────────────────────────",
        "orders             7.2        2.0       0.5  30.0",
        "daily_revenue        –          –         –   1.0",
        "",
        "whole stage        9.0        9.0       9.0   9.0",
    ]


def test_a_long_name_is_folded_and_no_number_is_cut() -> None:
    name = "a_table_with_a_very_long_name_that_fits_nowhere"
    counts = dict.fromkeys(("source_rows", "unchanged_rows"), 123_456_789)
    lines = drawn(report_view(report(extract={"tables": {name: counts}})))
    assert max(map(len, lines)) <= 80
    assert any("123,456,789 123,456,789" in line for line in lines)
    assert "…" not in "".join(lines)


def test_counts_of_a_load_that_failed_come_with_a_warning() -> None:
    warning = "may not be published"
    failed = {"tables": LOAD, "status": "failed"}
    assert warning in "".join(drawn(report_view(report(load=failed))))
    assert warning not in "".join(drawn(report_view(report(load={"tables": LOAD}))))


def test_filtered_and_stale_rows_are_shown_only_where_there_are_some() -> None:
    assert "filtered" not in "".join(drawn(report_view(report(transform={"tables": {"orders": {"filtered_rows": 0}}}))))
    assert "filtered" in "".join(drawn(report_view(report(transform={"tables": {"orders": {"filtered_rows": 2}}}))))


def test_a_failed_check_shows_rows_with_null_unlike_empty_text_and_on_one_line() -> None:
    check = {
        "table": "orders",
        "rule": 'ColumnValues "total" >= 0',
        "outcome": "failed",
        "failed_rows": 2,
        "sample": [{"id": "7", "clerk": None, "note": ""}, {"id": "8", "clerk": "[red]x[/red]", "note": "a\nb"}],
    }
    passed = {"table": "orders", "rule": "RowCount > 0", "outcome": "passed"}
    assert drawn(report_view(report(validate={"checks": [check, passed]}))) == [
        "",
        "Checks",
        "1 passed, 1 failed",
        'orders: ColumnValues "total" >= 0 – 2 rows failed',
        "  · id=7  clerk=NULL  note=''",
        "  · id=8  clerk=[red]x[/red]  note=a\\nb",
    ]


def test_a_difference_between_lake_and_warehouse_stands_out() -> None:
    comparison = [
        {"table": "orders", "lake_rows": 10, "warehouse_rows": 10, "equal": True},
        {"table": "daily", "lake_rows": 5, "warehouse_rows": 4, "equal": False},
    ]
    assert drawn(report_view(report(load={"comparison": comparison})))[2:] == [
        "table   lake rows  warehouse rows    content",
        "────────────────────────────────────────────",
        "orders         10              10      equal",
        "daily           5               4  DIFFERENT",
    ]


def test_problems_show_where_what_and_the_way_out_and_then_what_to_do_next() -> None:
    stage = StageRun(stage="extract", job="j", state="failed")
    completed = NOW + timedelta(seconds=125)
    run = WorkflowRun("shop", "wr_1", "r1", "incremental", (), "COMPLETED", NOW, completed, "", (stage,))
    long_command = f"etl resume shop --environment {'x' * 80}"
    result = RunResult(
        run=run,
        report=report(),
        problems=(Problem("orders.total", "value 1e400 does not fit double", "Declare a cast"),),
        next_steps=((long_command, "continue this run"),),
    )
    stream = io.StringIO()
    print_run(Console(file=stream, width=80, highlight=False), result)
    assert stream.getvalue().strip().splitlines() == [
        "What went wrong",
        "orders.total: value 1e400 does not fit double",
        "  → Declare a cast",
        "",
        "run r1 failed in extract after 2 m 05 s",
        "",
        "continue this run:",
        f"  {long_command}",
    ]


def test_a_pipe_gets_no_escape_codes() -> None:
    assert "\x1b" not in "".join(drawn(report_view(report(load={"tables": LOAD}))))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 m 00 s"), (125, "2 m 05 s"), (4800, "1 h 20 m")],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
