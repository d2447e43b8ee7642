"""A run, drawn for people: fits 80 columns, reads the same without colour. run_document is the same for scripts."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from etl_model.names import STAGES
from etl_model.problems import Problem
from operations.run_report import CheckResult, RunReport
from operations.run_result import RunResult
from operations.workflow_run import WorkflowRun

SAMPLE_ROWS = 5
_ABSENT = "–"
_STATE_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "bold red",
    "stopped": "yellow",
    "timed out": "bold red",
}
_COUNT_COLUMNS = (
    ("read", "source_rows"),
    ("unchanged", "unchanged_rows"),
    ("inserted", "inserted_rows"),
    ("updated", "updated_rows"),
    ("deleted", "deleted_rows"),
    ("super-\nseded", "superseded_rows"),
    ("quaran-\ntined", "quarantined_rows"),
)
# Shown only where a run has such rows, which is rare.
_RARE_COLUMNS = (("filtered", "filtered_rows"), ("stale", "stale_rows"))


def print_run(console: Console, result: RunResult) -> None:
    """Everything that `etl run` shows when the run has ended: the report, what went wrong, the outcome, what to do next."""
    console.print(report_view(result.report))
    if result.problems:
        console.print(_section("What went wrong", problem_view(result.problems)))
    console.print()
    console.print(outcome_text(result.run))
    for command, word in result.next_steps:
        console.print(Text(f"\n{word}:", style="dim"))
        # Wrapped by the terminal and not by us, so that it can be copied.
        console.print(Text(f"  {command}"), soft_wrap=True)


def outcome_text(run: WorkflowRun) -> Text:
    """Such as: run 20261123T201344-ab12cd failed in load after 2 m 05 s."""
    broken = run.broken_stage
    where = f" in {broken.stage}" if broken else ""
    took = duration(run.seconds(run.completed or run.started))
    return Text.assemble(f"run {run.run_id} ", state_text(run.state), f"{where} after {took}")


def report_view(report: RunReport) -> RenderableType:
    """What the stages reported: rows and seconds per table, failed checks with sample rows, lake beside warehouse."""
    parts: list[RenderableType] = []
    if report.tables:
        parts.append(_section("Rows", rows_table(report)))
        if "load" in report.stages and not report.is_loaded:
            note = "Load did not finish: what it inserted, updated and deleted may not be published."
            parts.append(Text(note, style="yellow"))
        parts.append(_section("Seconds", seconds_table(report)))
    if report.checks:
        parts.append(_section("Checks", checks_view(report)))
    if report.comparison:
        parts.append(_section("Lake and warehouse", comparison_table(report)))
    return Group(*parts)


def rows_table(report: RunReport) -> Table:
    """Counts of rows per table; a table that a stage did not reach shows a dash."""
    rare = [column for column in _RARE_COLUMNS if report.total(column[1])]
    columns = [*_COUNT_COLUMNS, *rare]
    drawn = _plain_table("table", *(heading for heading, _ in columns))
    for table in report.tables:
        drawn.add_row(Text(table.table), *(_count(getattr(table, count)) for _, count in columns))
    if len(report.tables) > 1:
        drawn.add_section()
        drawn.add_row("all", *(_count(report.total(count)) for _, count in columns))
    return drawn


def seconds_table(report: RunReport) -> Table:
    """Seconds per table and stage; the last row is the whole stage, in which tables run side by side."""
    drawn = _plain_table("table", *STAGES)
    for table in report.tables:
        drawn.add_row(Text(table.table), *(_seconds(table.stage_seconds(stage)) for stage in STAGES))
    drawn.add_section()
    whole = {stage: found.seconds for stage, found in report.stages.items()}
    drawn.add_row("whole stage", *(_seconds(whole.get(stage)) for stage in STAGES))
    return drawn


def checks_view(report: RunReport) -> RenderableType:
    """How many checks passed, and each that failed with some of its rows."""
    failed = report.failed_checks
    passed = len(report.checks) - len(failed)
    if not failed:
        return Text(f"all {passed} passed", style="green")
    parts: list[RenderableType] = [Text(f"{passed} passed, {len(failed)} failed")]
    for check in failed:
        parts.append(_failed_check(check))
    return Group(*parts)


def comparison_table(report: RunReport) -> Table:
    """Row counts of the published lake and the warehouse, and whether the checksums of the rows agree too."""
    drawn = _plain_table("table", "lake rows", "warehouse rows", "content")
    for row in report.comparison:
        verdict = Text("equal", style="green") if row.equal else Text("DIFFERENT", style="bold red")
        drawn.add_row(Text(row.table), _count(row.lake_rows), _count(row.warehouse_rows), verdict)
    return drawn


def problem_view(problems: Iterable[Problem]) -> RenderableType:
    """Where, what and the way out, one under the other."""
    parts: list[RenderableType] = []
    for problem in problems:
        parts.append(Text.assemble((problem.where, "bold"), ": ", problem.what))
        if problem.way_out:
            parts.append(_indented(Text.assemble(("→ ", "cyan"), problem.way_out)))
    return Group(*parts)


def state_text(state: str, detail: str = "") -> Text:
    return Text(f"{state}{detail}", style=_STATE_STYLES.get(state, ""))


def duration(seconds: float | None) -> str:
    """Such as 8.4 s, 2 m 05 s or 1 h 20 m; a dash for None."""
    if seconds is None:
        return _ABSENT
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = int(seconds + 0.5) // 60
    if minutes < 60:
        return f"{minutes} m {int(seconds + 0.5) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


def count_text(count: int | None) -> str:
    return _ABSENT if count is None else f"{count:,}"


def _failed_check(check: CheckResult) -> RenderableType:
    amount = (
        f"{check.failed_rows:,} row{'' if check.failed_rows == 1 else 's'} failed" if check.failed_rows else "failed"
    )
    if check.observed is not None:
        amount += f" ({check.observed})"
    title = Text.assemble((f"{check.table}: ", "bold"), (check.rule, "yellow"), " – ", (amount, "red"))
    lines = [_sample_row(row) for row in check.sample[:SAMPLE_ROWS]]
    if len(check.sample) > SAMPLE_ROWS:
        lines.append(Text(f"… and {len(check.sample) - SAMPLE_ROWS} more in the report", style="dim"))
    return Group(title, *(_indented(line) for line in lines))


def _sample_row(row: dict[str, object]) -> Text:
    text = Text("· ", overflow="fold")
    for position, (column, value) in enumerate(row.items()):
        text.append(f"{'  ' if position else ''}{column}=", style="dim")
        if value is None:
            text.append("NULL", style="dim italic")
        else:
            text.append(_on_one_line(str(value)) or "''")
    return text


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2), expand=False)


def _on_one_line(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _plain_table(first: str, *others: str) -> Table:
    gap = 0 if len(others) > len(STAGES) else 1  # many columns of numbers of millions just fit 80 columns
    drawn = Table(box=SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    # In a narrow terminal the name is folded, never a number.
    drawn.add_column(first, overflow="fold", vertical="bottom")
    for heading in others:
        drawn.add_column(heading, justify="right", no_wrap=True, overflow="fold", vertical="bottom")
    return drawn


def _count(count: int | None) -> Text:
    return Text(count_text(count), style="" if count else "dim")


def _seconds(seconds: float | None) -> Text:
    return Text(_ABSENT if seconds is None else f"{seconds:,.1f}", style="dim" if seconds is None else "")


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(), Text(title, style="bold underline"), content)
