"""Glue workflows: a start trigger, conditional triggers on the ends of jobs, run properties, stop and resume.

As on AWS, a run is COMPLETED when nothing is left to do, also when a job failed: `Statistics` tells.
"""

import hashlib
import threading
import time
import uuid

from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.job_runs import ACTIVE, JobRuns, WorkflowLink, page_of
from local_cloud.emulator.ministack_access import ApiError, Json, Response

_START_TYPES = ("ON_DEMAND", "SCHEDULED", "EVENT")


class Workflows:
    """All workflow runs of the emulator. Thread-safe."""

    def __init__(self, job_runs: JobRuns) -> None:
        self._job_runs = job_runs
        self._lock = threading.RLock()

    def handlers(self) -> dict[str, aws.Handler]:
        return {
            "StartWorkflowRun": self._start,
            "ResumeWorkflowRun": self._resume,
            "StopWorkflowRun": self._stop,
            "GetWorkflowRun": self._get,
            "GetWorkflowRuns": self._list,
            "GetWorkflow": self._describe,
            "ListWorkflows": lambda data: aws.answer(page_of("Workflows", sorted(aws.glue_workflows), data)),
            "GetWorkflowRunProperties": lambda data: aws.answer({"RunProperties": self._find(data)[_PROPERTIES]}),
            "PutWorkflowRunProperties": self._put_properties,
        }

    def is_running(self) -> bool:
        """Whether any workflow of the calling account and region has a run under way."""
        with self._lock:
            return any(run["Status"] == "RUNNING" for runs in aws.glue_workflow_runs.values() for run in runs)

    def _start(self, data: Json) -> Response:
        name = data.get("Name", "")
        with self._lock:
            starts = [trigger for trigger in _triggers(name) if trigger["Type"] in _START_TYPES]
            run = self._new_run(name, data.get("RunProperties") or {})
            if not starts:
                aws.glue_workflow_runs[name].remove(run)
                raise ApiError("IllegalWorkflowStateException", f"Workflow {name} has no start trigger")
            for trigger in starts:
                self._fire(run, trigger)
        return aws.answer({"RunId": run["WorkflowRunId"]})

    def _resume(self, data: Json) -> Response:
        """A new run that repeats the given nodes and what follows them; earlier jobs keep their results."""
        with self._lock:
            before = self._find(data)
            if before["Status"] in ("RUNNING", "STOPPING"):
                raise ApiError("IllegalWorkflowStateException", f"Workflow run {data['RunId']} is {before['Status']}")
            jobs = {job for job in before["_jobs"] if _node_id("JOB", job) in data["NodeIds"]}
            if not jobs:
                raise ApiError("InvalidInputException", "NodeIds names no job of the run; see Graph.Nodes[].UniqueId")
            run = self._new_run(before["Name"], before[_PROPERTIES])
            run["PreviousRunId"] = before["WorkflowRunId"]
            repeated, fired = _downstream(before["Name"], jobs)
            run["_jobs"] = {job: ids for job, ids in before["_jobs"].items() if job not in repeated}
            run["_fired"] = [name for name in before["_fired"] if name not in fired]
            for trigger in _triggers(before["Name"]):
                for action in trigger["Actions"]:
                    if action["JobName"] in jobs:
                        self._start_job(run, trigger, action)
            self._complete_if_idle(run)
        return aws.answer({"RunId": run["WorkflowRunId"], "NodeIds": data["NodeIds"]})

    def _stop(self, data: Json) -> Response:
        with self._lock:
            run = self._find(data)
            if run["Status"] != "RUNNING":
                raise ApiError("IllegalWorkflowStateException", f"Workflow run {data['RunId']} is {run['Status']}")
            run["Status"] = "STOPPING"
            for job_run in self._runs_of(run):
                if job_run["JobRunState"] in ("STARTING", "RUNNING"):
                    self._job_runs.stop(job_run["JobName"], job_run["Id"])
            self._complete_if_idle(run)
        return aws.answer({})

    def _get(self, data: Json) -> Response:
        return aws.answer({"Run": self._view(self._find(data), with_graph=bool(data.get("IncludeGraph")))})

    def _list(self, data: Json) -> Response:
        name = _existing(data)
        newest_first = list(reversed(aws.glue_workflow_runs.get(name, [])))
        views = [self._view(run, with_graph=bool(data.get("IncludeGraph"))) for run in newest_first]
        return aws.answer(page_of("Runs", views, data))

    def _describe(self, data: Json) -> Response:
        name = _existing(data)
        runs = aws.glue_workflow_runs.get(name, [])
        last = {"LastRun": self._view(runs[-1], with_graph=False)} if runs else {}
        graph = {"Graph": self._graph(name, {"_jobs": {}, "Name": name})} if data.get("IncludeGraph") else {}
        return aws.answer({"Workflow": {**aws.glue_workflows[name], **last, **graph}})

    def _put_properties(self, data: Json) -> Response:
        with self._lock:
            self._find(data)[_PROPERTIES].update(data["RunProperties"])
        return aws.answer({})

    def _new_run(self, name: str, properties: dict[str, str]) -> Json:
        workflow = aws.glue_workflows[_existing({"Name": name})]
        runs = aws.glue_workflow_runs.setdefault(name, [])
        limit = int(workflow.get("MaxConcurrentRuns") or 0)
        if limit and sum(run["Status"] in ("RUNNING", "STOPPING") for run in runs) >= limit:
            raise ApiError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for workflow {name}")
        run: Json = {
            "Name": name,
            "WorkflowRunId": f"wr_{uuid.uuid4().hex}{uuid.uuid4().hex}",
            _PROPERTIES: {**(workflow.get("DefaultRunProperties") or {}), **properties},
            "StartedOn": _now(),
            "Status": "RUNNING",
            "_jobs": {},  # job name -> ids of its runs here, oldest first
            "_fired": [],
            "_open": 0,
        }
        runs.append(run)
        return run

    def _fire(self, run: Json, trigger: Json) -> None:
        run["_fired"].append(trigger["Name"])
        for action in trigger["Actions"]:
            self._start_job(run, trigger, action)
        self._complete_if_idle(run)

    def _start_job(self, run: Json, trigger: Json, action: Json) -> None:
        name = action["JobName"]

        def on_final(job_run: Json) -> None:
            self._finished(run, job_run)

        link = WorkflowLink(run["Name"], run["WorkflowRunId"], trigger["Name"], on_final)
        request = {"JobName": name, "Arguments": action.get("Arguments") or {}, "Timeout": action.get("Timeout")}
        try:
            run_id = self._job_runs.start(request, link=link)
            run["_open"] += 1
        except ApiError as error:
            run_id = self._job_runs.refused(name, error.message, link)["Id"]
        run["_jobs"].setdefault(name, []).append(run_id)

    def _finished(self, run: Json, job_run: Json) -> None:
        with self._lock:
            run["_open"] -= 1
            ids = run["_jobs"].setdefault(job_run["JobName"], [])
            if job_run["Id"] not in ids:
                ids.append(job_run["Id"])
            if run["Status"] == "RUNNING":
                for trigger in _triggers(run["Name"]):
                    if trigger["Name"] not in run["_fired"] and self._is_due(run, trigger):
                        self._fire(run, trigger)
            self._complete_if_idle(run)

    def _is_due(self, run: Json, trigger: Json) -> bool:
        if trigger["Type"] != "CONDITIONAL" or trigger["State"] != "ACTIVATED":
            return False
        predicate = trigger["Predicate"]
        met = [self._last_state(run, c.get("JobName", "")) == c.get("State") for c in predicate["Conditions"]]
        return any(met) if predicate.get("Logical") == "ANY" else all(met)

    def _last_state(self, run: Json, job: str) -> str | None:
        """The state of a job's newest run here, once it has ended for good."""
        runs = [r for r in self._runs_of(run) if r["JobName"] == job]
        return runs[-1]["JobRunState"] if runs and runs[-1]["JobRunState"] not in ACTIVE else None

    def _complete_if_idle(self, run: Json) -> None:
        if run["_open"] == 0 and run["Status"] in ("RUNNING", "STOPPING"):
            run["Status"] = "STOPPED" if run["Status"] == "STOPPING" else "COMPLETED"
            run["CompletedOn"] = _now()

    def _runs_of(self, run: Json) -> list[Json]:
        """Every job run of a workflow run, retries included, oldest first within a job."""
        found = []
        for job, first_ids in run["_jobs"].items():
            roots = {run_id.split("_attempt_")[0] for run_id in first_ids}
            found += [r for r in aws.glue_job_runs.get(job, []) if r["Id"].split("_attempt_")[0] in roots]
        return found

    def _find(self, data: Json) -> Json:
        name, run_id = _existing(data), data.get("RunId", "")
        for run in aws.glue_workflow_runs.get(name, []):
            if run["WorkflowRunId"] == run_id:
                found: Json = run
                return found
        raise ApiError("EntityNotFoundException", f"Workflow run {run_id} of {name} not found")

    def _view(self, run: Json, *, with_graph: bool) -> Json:
        with self._lock:
            view = {key: value for key, value in run.items() if not key.startswith("_")}
            view["Statistics"] = self._statistics(run)
            if with_graph:
                view["Graph"] = self._graph(run["Name"], run)
        return view

    def _statistics(self, run: Json) -> Json:
        last = [[r for r in self._runs_of(run) if r["JobName"] == job][-1:] for job in run["_jobs"]]
        states = [runs[0]["JobRunState"] for runs in last if runs]
        return {
            "TotalActions": len(states),
            "TimeoutActions": states.count("TIMEOUT"),
            "FailedActions": states.count("FAILED"),
            "StoppedActions": states.count("STOPPED"),
            "SucceededActions": states.count("SUCCEEDED"),
            "RunningActions": sum(state in ACTIVE for state in states),
            "ErroredActions": states.count("ERROR"),
            "WaitingActions": 0,
        }

    def _graph(self, name: str, run: Json) -> Json:
        nodes: list[Json] = []
        edges: list[Json] = []
        jobs: list[str] = []
        for trigger in _triggers(name):
            trigger_id = _node_id("TRIGGER", trigger["Name"])
            details: Json = {"TriggerDetails": {"Trigger": trigger}}
            nodes.append({"Type": "TRIGGER", "Name": trigger["Name"], "UniqueId": trigger_id, **details})
            for action in trigger["Actions"]:
                jobs.append(action["JobName"])
                edges.append({"SourceId": trigger_id, "DestinationId": _node_id("JOB", action["JobName"])})
            for condition in (trigger.get("Predicate") or {}).get("Conditions", []):
                edges.append({"SourceId": _node_id("JOB", condition["JobName"]), "DestinationId": trigger_id})
        for job in dict.fromkeys(jobs):
            runs = [r for r in self._runs_of(run) if r["JobName"] == job]
            details = {"JobDetails": {"JobRuns": runs}}
            nodes.append({"Type": "JOB", "Name": job, "UniqueId": _node_id("JOB", job), **details})
        return {"Nodes": nodes, "Edges": edges}


_PROPERTIES = "WorkflowRunProperties"


def _existing(data: Json) -> str:
    name = str(data.get("Name", ""))
    if name not in aws.glue_workflows:
        raise ApiError("EntityNotFoundException", f"Workflow {name} not found")
    return name


def _triggers(workflow: str) -> list[Json]:
    return [trigger for trigger in aws.glue_triggers.values() if trigger.get("WorkflowName") == workflow]


def _downstream(workflow: str, jobs: set[str]) -> tuple[set[str], set[str]]:
    """The jobs themselves with every job after them, and the triggers between."""
    found, fired = set(jobs), set[str]()
    while True:
        size = len(found)
        for trigger in _triggers(workflow):
            conditions = (trigger.get("Predicate") or {}).get("Conditions", [])
            if any(condition.get("JobName") in found for condition in conditions):
                fired.add(trigger["Name"])
                found |= {action["JobName"] for action in trigger["Actions"]}
        if len(found) == size:
            return found, fired


def _node_id(kind: str, name: str) -> str:
    return f"wnode_{hashlib.sha256(f'{kind}/{name}'.encode()).hexdigest()}"


def _now() -> float:
    return round(time.time(), 3)
