import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import BUCKET, Emulator, until


def test_a_run_executes_the_deployed_script_with_arguments_merged_as_glue_merges_them(emulator: Emulator) -> None:
    emulator.deploy_job(
        "greets",
        """
        import os, sys
        values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
        print(values["--who"], values["--where"], values["--JOB_NAME"], os.environ["AWS_ENDPOINT_URL"])
        print("to the error stream", file=sys.stderr)
        """,
        DefaultArguments={"--who": "nobody", "--where": "here", "--custom-logGroup-prefix": "/etl/tests"},
    )
    run = emulator.run_job("greets", who="world")
    assert run["JobRunState"] == "SUCCEEDED"
    assert run["Arguments"] == {"--who": "world"}
    greeting = f"world here greets {emulator.server.address}"
    assert emulator.log(run["Id"], prefix="/etl/tests") == [greeting]
    assert emulator.log(run["Id"], stream="error", prefix="/etl/tests") == ["to the error stream"]
    assert greeting in (emulator.server.folder / "runs" / f"{run['Id']}.log").read_text()


def test_log_lines_can_be_read_while_the_job_still_runs(emulator: Emulator) -> None:
    emulator.deploy_job("talks", "import time\nprint('first')\ntime.sleep(3)\nprint('last')")
    run_id = emulator.start_job("talks")
    until(lambda: emulator.log(run_id), lambda lines: lines == ["first"])
    assert emulator.client("glue").get_job_run(JobName="talks", RunId=run_id)["JobRun"]["JobRunState"] == "RUNNING"
    emulator.ended("talks", run_id)
    assert emulator.log(run_id) == ["first", "last"]


@pytest.mark.parametrize(
    ("script", "state", "error"),
    [
        ("raise ValueError('orders: no column o_x')", "FAILED", "ValueError: orders: no column o_x"),
        ("import sys; sys.exit('wrong password')", "FAILED", "SystemExit: wrong password"),
        ("import sys; sys.exit(3)", "FAILED", "SystemExit: 3"),
        ("import sys; sys.exit(0)", "SUCCEEDED", ""),
        ("raise Exception('what failed\\n\\tat org.apache.spark.X(Y.java)')", "FAILED", "Exception: what failed"),
        ("import os, sys; print('out of luck', file=sys.stderr); os._exit(9)", "FAILED", "exit code 9: out of luck"),
    ],
    ids=["exception", "message", "code", "success", "java-trace", "crash"],
)
def test_how_a_script_ends_is_how_the_run_ends(
    emulator: Emulator, script: str, state: str, error: str, request: pytest.FixtureRequest
) -> None:
    name = f"ends-{request.node.callspec.id}"
    emulator.deploy_job(name, script)
    run = emulator.run_job(name)
    assert run["JobRunState"] == state
    assert run.get("ErrorMessage", "").removeprefix("Command failed with ") == error


def test_a_failed_run_is_retried_and_each_failure_is_an_e_mail(
    emulator: Emulator, e_mails: Callable[[], list[str]]
) -> None:
    emulator.deploy_job("fails", "raise SystemExit('no such table')", MaxRetries=1)
    first = emulator.run_job("fails")
    until(e_mails, lambda mails: len(mails) == 2)
    runs = emulator.client("glue").get_job_runs(JobName="fails")["JobRuns"]
    assert [(run["Attempt"], run["JobRunState"]) for run in runs] == [(1, "FAILED"), (0, "FAILED")]
    assert runs[0]["PreviousRunId"] == first["Id"]
    mail = e_mails()[0]
    assert "To: ops@example.com\n" in mail
    assert "\nSubject: " in mail
    assert '\n\n"fails: SystemExit: no such table"' in mail


def test_a_run_over_its_timeout_is_killed_with_its_children(emulator: Emulator) -> None:
    emulator.deploy_job(
        "lingers",
        """
        import subprocess, time
        print(subprocess.Popen(["sleep", "60"], start_new_session=False).pid)
        time.sleep(60)
        """,
        Timeout=1,
    )
    run = emulator.run_job("lingers")
    assert run["JobRunState"] == "TIMEOUT"
    assert not _exists(int(emulator.log(run["Id"])[0]))


def test_a_stopped_run_ends_as_stopped_and_leaves_no_process(emulator: Emulator) -> None:
    emulator.deploy_job("waits", "import os, time\nprint(os.getpid())\ntime.sleep(60)")
    run_id = emulator.start_job("waits")
    lines = until(lambda: emulator.log(run_id), bool)
    glue = emulator.client("glue")
    stopped = glue.batch_stop_job_run(JobName="waits", JobRunIds=[run_id, "jr_unknown"])
    assert [run["JobRunId"] for run in stopped["SuccessfulSubmissions"]] == [run_id]
    assert stopped["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert emulator.ended("waits", run_id)["JobRunState"] == "STOPPED"
    assert not _exists(int(lines[0]))


def test_a_job_runs_no_more_often_at_once_than_it_may(emulator: Emulator) -> None:
    emulator.deploy_job("single", "import time; time.sleep(60)")
    run_id = emulator.start_job("single")
    with pytest.raises(ClientError, match="ConcurrentRunsExceededException"):
        emulator.start_job("single")
    emulator.client("glue").batch_stop_job_run(JobName="single", JobRunIds=[run_id])
    emulator.ended("single", run_id)
    again = emulator.start_job("single")
    emulator.client("glue").batch_stop_job_run(JobName="single", JobRunIds=[again])
    emulator.ended("single", again)


def test_extra_files_and_wheels_come_before_what_is_installed_here(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    s3.put_object(Bucket=BUCKET, Key="code.zip", Body=_zip({"etl_runtime/__init__.py": "NAME = 'deployed runtime'"}))
    wheel = _zip(
        {
            "boto3/__init__.py": "NAME = 'boto3 of the wheel'",
            "boto3-99.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: boto3\nVersion: 99.0\n",
            "boto3-99.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "boto3-99.0.dist-info/RECORD": "",
        }
    )
    archive = _zip({"boto3-99.0-py3-none-any.whl": wheel})
    s3.put_object(Bucket=BUCKET, Key="0123.gluewheels.zip", Body=archive)
    emulator.deploy_job(
        "imports",
        "import boto3, etl_runtime\nprint(boto3.NAME, etl_runtime.NAME)",
        DefaultArguments={
            "--extra-py-files": f"s3://{BUCKET}/code.zip",
            "--additional-python-modules": f"s3://{BUCKET}/0123.gluewheels.zip",
        },
    )
    run = emulator.run_job("imports")
    assert emulator.log(run["Id"]) == ["boto3 of the wheel deployed runtime"], emulator.log(run["Id"], stream="error")


def test_a_missing_package_fails_the_run_with_its_address(emulator: Emulator) -> None:
    emulator.deploy_job("lacks", "", DefaultArguments={"--extra-py-files": f"s3://{BUCKET}/nothing.zip"})
    run = emulator.run_job("lacks")
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", f"s3://{BUCKET}/nothing.zip: NoSuchKey")


def _zip(files: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return content.getvalue()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child of a killed parent stays a zombie until init takes it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
