import os
import signal
from pathlib import Path

from local_cloud import processes
from tests.local_cloud.conftest import BUCKET, emulator_server, started, until


def test_a_restart_keeps_buckets_and_jobs_and_ends_what_ran(tmp_path: Path) -> None:
    server = emulator_server(tmp_path / "a folder")
    try:
        before = started(server)
        before.client("s3").create_bucket(Bucket=BUCKET)
        before.deploy_job("waits", "import os, time\nprint(os.getpid())\ntime.sleep(60)")
        before.deploy_workflow("flow", "waits")
        flow_run = before.client("glue").start_workflow_run(Name="flow")["RunId"]
        run_id = before.workflow_run("flow", flow_run)["Graph"]["Nodes"][1]["JobDetails"]["JobRuns"][0]["Id"]
        pid = int(until(lambda: before.log(run_id), bool)[0])
        processes.stop(server)
        assert _is_gone(pid)
        after = started(server)
        assert after.client("s3").get_object(Bucket=BUCKET, Key="waits.py")["Body"].read().startswith(b"import os")
        assert after.client("glue").get_job_run(JobName="waits", RunId=run_id)["JobRun"]["JobRunState"] == "STOPPED"
        assert after.workflow_run("flow", flow_run)["Status"] != "RUNNING"
        after.client("glue").start_workflow_run(Name="flow")
    finally:
        processes.stop(server)


def test_a_killed_emulator_takes_its_jobs_with_it_and_forgets_nothing_older_than_seconds(tmp_path: Path) -> None:
    server = emulator_server(tmp_path)
    try:
        before = started(server)
        before.client("s3").create_bucket(Bucket=BUCKET)
        before.deploy_job("waits", "import os, time\nprint(os.getpid())\ntime.sleep(60)")
        run_id = before.start_job("waits")
        pid = int(until(lambda: before.log(run_id), bool)[0])
        until(lambda: "waits" in _saved_glue(tmp_path), bool)
        emulator_pid = processes.running_pid(server)
        assert emulator_pid is not None
        os.kill(emulator_pid, signal.SIGKILL)
        until(lambda: _is_gone(pid), bool)
        after = started(server)
        run = after.client("glue").get_job_run(JobName="waits", RunId=run_id)["JobRun"]
        assert (run["JobRunState"], "stopped while this run" in run["ErrorMessage"]) == ("FAILED", True)
    finally:
        processes.stop(server)


def _saved_glue(folder: Path) -> str:
    file = folder / "emulator" / "services" / "glue.json"
    return file.read_text() if file.exists() else ""


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
