"""What Glue says about a workflow run, judged: a run has succeeded only when the last attempt of all four jobs has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from etl_model.names import STAGES, Names, Stage

Mode = Literal["incremental", "full_refresh"]
StageState = Literal["waiting", "starting", "running", "stopping", "succeeded", "failed", "timed out", "stopped"]
RunState = Literal["running", "succeeded", "failed", "stopped"]

_STAGE_STATES: dict[str, StageState] = {
    "STARTING": "starting",
    "WAITING": "starting",
    "RUNNING": "running",
    "STOPPING": "stopping",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "ERROR": "failed",
    "TIMEOUT": "timed out",
    "EXPIRED": "timed out",
    "STOPPED": "stopped",
}
_BROKEN: tuple[StageState, ...] = ("failed", "timed out", "stopped")


@dataclass(frozen=True)
class StageRun:
    """The newest attempt of one stage's job; `job_run_ids` are of all its attempts, oldest first."""

    stage: Stage
    job: str
    state: StageState = "waiting"
    job_run_ids: tuple[str, ...] = ()
    started: datetime | None = None
    completed: datetime | None = None
    error_message: str = ""

    @property
    def job_run_id(self) -> str | None:
        return self.job_run_ids[-1] if self.job_run_ids else None

    @property
    def is_broken(self) -> bool:
        return self.state in _BROKEN

    def seconds(self, now: datetime) -> float | None:
        """From start to end, or to `now` while it works; None before it starts."""
        return None if self.started is None else max(0.0, ((self.completed or now) - self.started).total_seconds())


@dataclass(frozen=True)
class WorkflowRun:
    """One run of a pipeline's workflow. `run_id` is the logical run, which a resumed run shares with the failed one."""

    pipeline: str
    workflow_run_id: str
    run_id: str
    mode: Mode
    tables: tuple[str, ...]
    status: str
    started: datetime
    completed: datetime | None
    error_message: str
    stages: tuple[StageRun, ...]

    @property
    def is_active(self) -> bool:
        return self.status in ("RUNNING", "STOPPING")

    @property
    def state(self) -> RunState:
        """COMPLETED says only that nothing is left to start, so the stages decide."""
        if self.is_active:
            return "running"
        if self.status == "COMPLETED" and all(stage.state == "succeeded" for stage in self.stages):
            return "succeeded"
        stopped = self.status == "STOPPED" or any(stage.state == "stopped" for stage in self.stages)
        return "stopped" if stopped else "failed"

    @property
    def broken_stage(self) -> StageRun | None:
        """The first stage that did not succeed, in a run that has ended without success."""
        if self.state in ("running", "succeeded"):
            return None
        return next((stage for stage in self.stages if stage.state != "succeeded"), None)

    def seconds(self, now: datetime) -> float:
        return max(0.0, ((self.completed or now) - self.started).total_seconds())


def read_workflow_run(response: Mapping[str, Any], *, pipeline: str, names: Names) -> WorkflowRun:
    """From the `Run` of GetWorkflowRun with its graph; a job without a node or without runs has not been started."""
    attempts: dict[str, list[Mapping[str, Any]]] = {}
    for node in response.get("Graph", {}).get("Nodes", []):
        if node.get("Type") == "JOB":
            attempts.setdefault(node["Name"], []).extend(node.get("JobDetails", {}).get("JobRuns", []))
    properties = response.get("WorkflowRunProperties", {})
    workflow_run_id = response["WorkflowRunId"]
    return WorkflowRun(
        pipeline=pipeline,
        workflow_run_id=workflow_run_id,
        # Extract gives a run that was started without one, as the scheduler does, the workflow run's id.
        run_id=properties.get("run_id") or workflow_run_id,
        mode="full_refresh" if properties.get("mode") == "full_refresh" else "incremental",
        tables=tuple(name.strip() for name in properties.get("tables", "").split(",") if name.strip()),
        status=response.get("Status", "RUNNING"),
        started=response.get("StartedOn") or datetime.now(UTC),
        completed=response.get("CompletedOn"),
        error_message=response.get("ErrorMessage", ""),
        stages=tuple(_stage_run(stage, names.job(pipeline, stage), attempts) for stage in STAGES),
    )


def _stage_run(stage: Stage, job: str, attempts: Mapping[str, list[Mapping[str, Any]]]) -> StageRun:
    runs = sorted(attempts.get(job, []), key=lambda run: (run.get("Attempt", 0), run["StartedOn"]))
    if not runs:
        return StageRun(stage=stage, job=job)
    last = runs[-1]
    return StageRun(
        stage=stage,
        job=job,
        state=_STAGE_STATES.get(last["JobRunState"], "failed"),
        job_run_ids=tuple(run["Id"] for run in runs),
        started=last["StartedOn"],
        completed=last.get("CompletedOn"),
        error_message=last.get("ErrorMessage", ""),
    )
