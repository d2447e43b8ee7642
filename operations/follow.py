"""A workflow run, followed until it ends: the four stages with their state, elapsed time and latest message."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from etl_model.names import Stage
from operations.job_log import JobLog, LogLine
from operations.run_tables import duration, state_text
from operations.target import Target
from operations.workflow import get_run
from operations.workflow_run import StageRun, WorkflowRun

_TABLES_SHOWN = 8


def follow_run(
    target: Target, pipeline: str, workflow_run_id: str, *, console: Console, seconds_between_looks: float = 1.0
) -> WorkflowRun:
    """The run once it has ended. On a terminal the progress is live, elsewhere a line for each change."""
    follower = _Follower(target, pipeline, workflow_run_id, seconds_between_looks)
    if not console.is_terminal:
        return follower.until_ended(LineView(console).show)
    view = LiveView()
    with Live(view, console=console, refresh_per_second=4, transient=False):
        return follower.until_ended(view.show)


class _Follower:
    def __init__(self, target: Target, pipeline: str, workflow_run_id: str, seconds_between_looks: float) -> None:
        self._target, self._pipeline, self._workflow_run_id = target, pipeline, workflow_run_id
        self._seconds_between_looks = seconds_between_looks
        self._logs: dict[str, JobLog] = {}
        self._read_to_the_end: set[str] = set()

    def until_ended(self, show: Callable[[WorkflowRun, list[LogLine]], None]) -> WorkflowRun:
        while True:
            run = get_run(self._target, self._pipeline, self._workflow_run_id)
            show(run, self._new_lines(run))
            if not run.is_active:
                return run
            time.sleep(self._seconds_between_looks)

    def _new_lines(self, run: WorkflowRun) -> list[LogLine]:
        lines: list[LogLine] = []
        log_group = self._target.names.log_group(self._pipeline)
        for stage in run.stages:
            for job_run_id in stage.job_run_ids:
                if job_run_id in self._read_to_the_end:
                    continue
                if job_run_id not in self._logs:
                    self._logs[job_run_id] = JobLog(self._target.logs, log_group=log_group, job_run_id=job_run_id)
                lines += self._logs[job_run_id].new_lines()
                if stage.completed or job_run_id != stage.job_run_id:
                    self._read_to_the_end.add(job_run_id)
        return lines


class LineView:
    """For pipes and logs: one line for each change of a stage's state, and for each warning and error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[Stage, tuple[str, int]] = {}

    def show(self, run: WorkflowRun, lines: list[LogLine]) -> None:
        for line in lines:
            if line.level in ("warning", "error"):
                self._print(line.stage, f"{line.level}: {f'{line.table}: ' if line.table else ''}{line.message}")
        for stage in run.stages:
            now = (stage.state, len(stage.job_run_ids))
            if now != self._seen.get(stage.stage, ("waiting", 0)):
                self._seen[stage.stage] = now
                attempt = f" (attempt {now[1]})" if now[1] > 1 else ""
                took = f" in {duration(stage.seconds(datetime.now(UTC)))}" if stage.completed else ""
                self._print(stage.stage, f"{stage.state}{took}{attempt}")

    def _print(self, stage: str, text: str) -> None:
        self._console.print(Text(f"{stage:<10} {text}"), soft_wrap=True)


class LiveView:
    """For terminals: redrawn in place, so that the elapsed times run on between two looks at Glue."""

    def __init__(self) -> None:
        self._run: WorkflowRun | None = None
        self._latest: dict[str, LogLine] = {}
        self._latest_of_table: dict[str, dict[str, LogLine]] = {}
        self._spinner = Spinner("dots", style="cyan")

    def show(self, run: WorkflowRun, lines: list[LogLine]) -> None:
        for line in lines:
            self._latest[line.stage] = line
            if line.table:
                tables = self._latest_of_table.setdefault(line.stage, {})
                tables.pop(line.table, None)  # the newest message stands last
                tables[line.table] = line
        self._run = run

    def __rich__(self) -> RenderableType:
        if self._run is None:
            return Text("starting …", style="dim")
        grid = Table.grid(padding=(0, 1), expand=True)
        for width, justify in ((1, "left"), (9, "left"), (9, "left"), (9, "right")):
            grid.add_column(width=width, no_wrap=True, justify=justify)  # type: ignore[arg-type]  # literals
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for stage in self._run.stages:
            grid.add_row(
                self._mark(stage), stage.stage, state_text(stage.state), self._elapsed(stage), self._message(stage)
            )
        return Group(grid, *self._tables(self._run))

    def _mark(self, stage: StageRun) -> RenderableType:
        if stage.state in ("starting", "running", "stopping"):
            return self._spinner
        marks = {"waiting": ("·", "dim"), "succeeded": ("✓", "green")}
        mark, style = marks.get(stage.state, ("✗", "red"))
        return Text(mark, style=style)

    def _elapsed(self, stage: StageRun) -> str:
        return "" if stage.started is None else duration(stage.seconds(datetime.now(UTC)))

    def _message(self, stage: StageRun) -> Text:
        line = self._latest.get(stage.stage)
        if line is None:
            return Text()
        return Text(
            f"{f'{line.table}: ' if line.table else ''}{line.message}", style="red" if line.level == "error" else "dim"
        )

    def _tables(self, run: WorkflowRun) -> list[Text]:
        active = [stage.stage for stage in run.stages if stage.state == "running"]
        lines = [line for stage in active for line in self._latest_of_table.get(stage, {}).values()]
        return [
            Text(f"    {line.table}: {line.message}", style="dim", no_wrap=True, overflow="ellipsis")
            for line in lines[-_TABLES_SHOWN:]
        ]
