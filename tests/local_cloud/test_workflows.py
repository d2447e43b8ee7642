from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import BUCKET, Emulator

_TELL_RUN = """
import sys
values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print(values["--WORKFLOW_NAME"], values["--WORKFLOW_RUN_ID"])
"""


def test_a_workflow_runs_its_jobs_in_order_and_keeps_the_runs_properties(emulator: Emulator) -> None:
    for job in ("one", "two"):
        emulator.deploy_job(job, _TELL_RUN)
    emulator.deploy_workflow("in-order", "one", "two")
    glue = emulator.client("glue")
    run_id = glue.start_workflow_run(Name="in-order", RunProperties={"tables": "orders"})["RunId"]
    glue.put_workflow_run_properties(Name="in-order", RunId=run_id, RunProperties={"run_id": "r1"})
    run = emulator.ended_workflow("in-order", run_id)
    assert run["Status"] == "COMPLETED"
    assert (run["Statistics"]["TotalActions"], run["Statistics"]["SucceededActions"]) == (2, 2)
    properties = glue.get_workflow_run_properties(Name="in-order", RunId=run_id)["RunProperties"]
    assert properties == {"mode": "incremental", "tables": "orders", "run_id": "r1"}
    first, second = _job_runs(run, "one")[0], _job_runs(run, "two")[0]
    assert first["CompletedOn"] <= second["StartedOn"]
    assert emulator.log(second["Id"]) == [f"in-order {run_id}"]


def test_a_failed_job_ends_the_workflow_as_completed_and_resume_repeats_it_and_what_follows(
    emulator: Emulator,
) -> None:
    emulator.deploy_job("breaks", "raise SystemExit('no')")
    emulator.deploy_job("follows", "")
    emulator.deploy_workflow("breaking", "breaks", "follows")
    glue = emulator.client("glue")
    run = emulator.ended_workflow("breaking", glue.start_workflow_run(Name="breaking")["RunId"])
    assert run["Status"] == "COMPLETED"
    assert (run["Statistics"]["FailedActions"], run["Statistics"]["TotalActions"]) == (1, 1)
    emulator.client("s3").put_object(Bucket=BUCKET, Key="breaks.py", Body=b"")
    node = next(node["UniqueId"] for node in run["Graph"]["Nodes"] if node["Name"] == "breaks")
    resumed = glue.resume_workflow_run(Name="breaking", RunId=run["WorkflowRunId"], NodeIds=[node])
    again = emulator.ended_workflow("breaking", resumed["RunId"])
    assert again["PreviousRunId"] == run["WorkflowRunId"]
    assert again["Statistics"]["SucceededActions"] == 2


def test_a_second_run_is_refused_while_one_runs_and_a_stopped_one_makes_room(emulator: Emulator) -> None:
    emulator.deploy_job("sleeps", "import time; time.sleep(60)")
    emulator.deploy_workflow("once", "sleeps")
    glue = emulator.client("glue")
    run_id = glue.start_workflow_run(Name="once")["RunId"]
    with pytest.raises(ClientError, match="ConcurrentRunsExceededException"):
        glue.start_workflow_run(Name="once")
    glue.stop_workflow_run(Name="once", RunId=run_id)
    run = emulator.ended_workflow("once", run_id)
    assert (run["Status"], run["Statistics"]["StoppedActions"]) == ("STOPPED", 1)
    glue.stop_workflow_run(Name="once", RunId=glue.start_workflow_run(Name="once")["RunId"])


def test_a_job_that_cannot_start_is_an_errored_action(emulator: Emulator) -> None:
    emulator.deploy_job("busy", "import time; time.sleep(60)")
    emulator.deploy_workflow("crowded", "busy")
    other = emulator.start_job("busy")
    glue = emulator.client("glue")
    run = emulator.ended_workflow("crowded", glue.start_workflow_run(Name="crowded")["RunId"])
    assert (run["Status"], run["Statistics"]["ErroredActions"]) == ("COMPLETED", 1)
    assert _job_runs(run, "busy")[0]["ErrorMessage"] == "Concurrent runs exceeded for busy"
    glue.batch_stop_job_run(JobName="busy", JobRunIds=[other])


def _job_runs(run: Any, job: str) -> list[Any]:
    node = next(node for node in run["Graph"]["Nodes"] if node["Type"] == "JOB" and node["Name"] == job)
    runs: list[Any] = node["JobDetails"]["JobRuns"]
    return runs
