"""Runs of Glue jobs: start, retries, limits, stop, and what GetJobRun tells.

A run is a dict in ministack's store, in the API's own shape, so that it is saved with the rest of the catalog. How it
is executed is given by the caller (`execute`), so this module knows nothing of processes.
"""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.ministack_access import ApiError, Json, Response

State = Literal["SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED"]
ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
_DEFAULT_TIMEOUT_MINUTES = 480  # Glue 5: 8 hours
_PAGE = 200


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `error` is the last meaningful line, empty on success."""

    state: State
    error: str = ""


@dataclass
class Attempt:
    """One process of one run: what to execute, and a request to stop it."""

    run_id: str
    job: Json
    arguments: dict[str, str]
    timeout_minutes: float
    stop_requested: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class WorkflowLink:
    """Why a workflow started a run, and whom to tell when its last attempt has ended."""

    workflow: str
    workflow_run_id: str
    trigger: str
    on_final: Callable[[Json], None]


class JobRuns:
    """All job runs of the emulator. Thread-safe."""

    def __init__(self, execute: Callable[[Attempt], Outcome]) -> None:
        self._execute = execute
        self._lock = threading.RLock()
        self._attempts: dict[str, Attempt] = {}
        self._changed: Callable[[], None] = lambda: None

    def on_change(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever a run has ended, for the sake of saving."""
        self._changed = notify

    def handlers(self) -> dict[str, aws.Handler]:
        return {
            "StartJobRun": lambda data: aws.answer({"JobRunId": self.start(data)}),
            "GetJobRun": self._get,
            "GetJobRuns": self._list,
            "BatchStopJobRun": self._stop_batch,
        }

    def start(self, data: Json, *, link: WorkflowLink | None = None) -> str:
        """Start a run and return its id. Raises ApiError: EntityNotFound, ConcurrentRunsExceeded."""
        name = data.get("JobName", "")
        job = aws.glue_jobs.get(name)
        if job is None:
            raise ApiError("EntityNotFoundException", f"Job {name} not found")
        with self._lock:
            limit = int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns") or 1)
            if sum(run["JobRunState"] in ACTIVE for run in aws.glue_job_runs.get(name, [])) >= limit:
                raise ApiError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
            run = self._new_run(job, data, link)
        aws.in_scope(lambda: self._supervise(job, run, data, link), name=f"glue-{run['Id'][:12]}")
        return str(run["Id"])

    def refused(self, name: str, reason: str, link: WorkflowLink) -> Json:
        """A run in state ERROR, which is how a workflow shows a job that could not be started."""
        with self._lock:
            run = self._new_run(aws.glue_jobs.get(name) or {"Name": name}, {"JobName": name}, link)
            run.update({"JobRunState": "ERROR", "ErrorMessage": reason, "CompletedOn": _now()})
        return run

    def find(self, name: str, run_id: str) -> Json | None:
        return next((run for run in aws.glue_job_runs.get(name, []) if run["Id"] == run_id), None)

    def stop(self, name: str, run_id: str) -> None:
        """Ask a run to stop. Raises ApiError when there is no such run or it has ended."""
        with self._lock:
            run = self.find(name, run_id)
            if run is None:
                raise ApiError("EntityNotFoundException", f"Job run {run_id} not found")
            if run["JobRunState"] not in ("STARTING", "RUNNING"):
                raise ApiError("InvalidInputException", f"Job run {run_id} is {run['JobRunState']}")
            attempt = self._attempts.get(run_id)
            run.update({"JobRunState": "STOPPING" if attempt else "STOPPED", "LastModifiedOn": _now()})
        if attempt:
            attempt.stop_requested.set()

    def stop_all_and_wait(self, seconds: float) -> None:
        """Ask every running attempt to stop and wait until they have, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                if not self._attempts:
                    return
                for attempt in self._attempts.values():
                    attempt.stop_requested.set()
            time.sleep(0.05)

    def _new_run(self, job: Json, data: Json, link: WorkflowLink | None, previous: Json | None = None) -> Json:
        attempt = previous["Attempt"] + 1 if previous else 0
        first_id = previous["Id"].split("_attempt_")[0] if previous else f"jr_{uuid.uuid4().hex}{uuid.uuid4().hex}"
        now = _now()
        run: Json = {
            "Id": f"{first_id}_attempt_{attempt}" if attempt else first_id,
            "Attempt": attempt,
            "JobName": job["Name"],
            "StartedOn": now,
            "LastModifiedOn": now,
            "JobRunState": "STARTING",
            "Arguments": dict(data.get("Arguments") or {}),
            "PredecessorRuns": [],
            "ExecutionTime": 0,
            "Timeout": data.get("Timeout") or job.get("Timeout") or _DEFAULT_TIMEOUT_MINUTES,
            "LogGroupName": job.get("DefaultArguments", {}).get("--custom-logGroup-prefix", "/aws-glue/jobs"),
        }
        for key in ("GlueVersion", "NumberOfWorkers", "WorkerType", "MaxCapacity", "ExecutionClass"):
            if (value := data.get(key) or job.get(key)) is not None:
                run[key] = value
        if previous:
            run["PreviousRunId"] = previous["Id"]
        if link:
            run["TriggerName"] = link.trigger
        aws.glue_job_runs.setdefault(job["Name"], []).append(run)
        return run

    def _supervise(self, job: Json, run: Json, data: Json, link: WorkflowLink | None) -> None:
        retries = int(job.get("MaxRetries") or 0)
        while True:
            outcome = self._run_once(job, run, data, link)
            _announce(run)
            with self._lock:
                again = outcome.state == "FAILED" and run["Attempt"] < retries
                following = self._new_run(job, data, link, previous=run) if again else None
            if following is None:
                break
            run = following
        if link:
            link.on_final(run)
        self._changed()

    def _run_once(self, job: Json, run: Json, data: Json, link: WorkflowLink | None) -> Outcome:
        attempt = Attempt(run["Id"], job, _arguments(job, run, data, link), float(run["Timeout"]))
        with self._lock:
            self._attempts[run["Id"]] = attempt
            if run["JobRunState"] == "STARTING":
                run.update({"JobRunState": "RUNNING", "LastModifiedOn": _now()})
        try:
            outcome = self._execute(attempt)
        except Exception as error:
            # Whatever goes wrong in the local cloud itself must still end the run, with its reason.
            outcome = Outcome("FAILED", f"{type(error).__name__}: {error}")
        with self._lock:
            del self._attempts[run["Id"]]
            now = _now()
            run.update({"JobRunState": outcome.state, "CompletedOn": now, "LastModifiedOn": now})
            run["ExecutionTime"] = round(now - run["StartedOn"])
            if outcome.error:
                run["ErrorMessage"] = outcome.error
        return outcome

    def _get(self, data: Json) -> Response:
        run = self.find(data.get("JobName", ""), data.get("RunId", ""))
        if run is None:
            raise ApiError("EntityNotFoundException", f"Job run {data.get('RunId')} not found")
        return aws.answer({"JobRun": run})

    def _list(self, data: Json) -> Response:
        name = data.get("JobName", "")
        if name not in aws.glue_jobs:
            raise ApiError("EntityNotFoundException", f"Job {name} not found")
        newest_first = list(reversed(aws.glue_job_runs.get(name, [])))
        return aws.answer(page_of("JobRuns", newest_first, data))

    def _stop_batch(self, data: Json) -> Response:
        name, stopped, errors = data["JobName"], [], []
        for run_id in data["JobRunIds"]:
            try:
                self.stop(name, run_id)
                stopped.append({"JobName": name, "JobRunId": run_id})
            except ApiError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": error.message}
                errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
        return aws.answer({"SuccessfulSubmissions": stopped, "Errors": errors})


def page_of(key: str, items: Sequence[object], data: Json) -> Json:
    """One page of a listing in the shape {key: [...], "NextToken"?}; tokens are offsets."""
    start, size = int(data.get("NextToken") or 0), int(data.get("MaxResults") or _PAGE)
    page: Json = {key: items[start : start + size]}
    if start + size < len(items):
        page["NextToken"] = str(start + size)
    return page


def _arguments(job: Json, run: Json, data: Json, link: WorkflowLink | None) -> dict[str, str]:
    """What Glue hands to the script, later ones winning: defaults, the run's own, the fixed ones, Glue's."""
    merged = {**job.get("DefaultArguments", {}), **(data.get("Arguments") or {})}
    merged |= job.get("NonOverridableArguments") or {}
    merged |= {"--JOB_NAME": job["Name"], "--JOB_RUN_ID": run["Id"]}
    if link:
        merged |= {"--WORKFLOW_NAME": link.workflow, "--WORKFLOW_RUN_ID": link.workflow_run_id}
    return {key: str(value) for key, value in merged.items()}


def _announce(run: Json) -> None:
    """EventBridge's "Glue Job State Change", sent for SUCCEEDED, FAILED, TIMEOUT and STOPPED only, as on AWS."""
    failed = run["JobRunState"] in ("FAILED", "TIMEOUT")
    detail = {
        "jobName": run["JobName"],
        "severity": "ERROR" if failed else "INFO",
        "state": run["JobRunState"],
        "jobRunId": run["Id"],
        "message": run.get("ErrorMessage") or f"Job run {run['JobRunState'].lower()}",
    }
    aws.put_event(source="aws.glue", detail_type="Glue Job State Change", detail=detail)


def _now() -> float:
    return round(time.time(), 3)
