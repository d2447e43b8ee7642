"""An emulator of its own for these tests (their job timeouts count seconds), and small helpers to run jobs on it."""

import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_cloud import processes
from local_cloud.processes import Server
from tests.conftest import PROJECT, free_port

BUCKET = "scripts-of-tests"
ENDED = ("SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED", "ERROR")


@dataclass
class Emulator:
    """A running emulator, its clients, and where it keeps logs and e-mails."""

    server: Server
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,  # type: ignore[call-overload]
                endpoint_url=self.server.address,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self._clients[service]

    def deploy_job(self, name: str, script: str, **options: Any) -> None:
        key = f"{name}.py"
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=textwrap.dedent(script).encode())
        command = {"Name": options.pop("command", "pythonshell"), "ScriptLocation": f"s3://{BUCKET}/{key}"}
        self.client("glue").create_job(Name=name, Role="role", Command=command, GlueVersion="5.0", **options)

    def start_job(self, name: str, **arguments: str) -> str:
        given = {f"--{key}": value for key, value in arguments.items()}
        return str(self.client("glue").start_job_run(JobName=name, Arguments=given)["JobRunId"])

    def ended(self, name: str, run_id: str, *, seconds: float = 60) -> Any:
        def run() -> Any:
            return self.client("glue").get_job_run(JobName=name, RunId=run_id)["JobRun"]

        return until(run, lambda found: found["JobRunState"] in ENDED, seconds=seconds)

    def run_job(self, name: str, **arguments: str) -> Any:
        return self.ended(name, self.start_job(name, **arguments))

    def log(self, run_id: str, *, stream: str = "output", prefix: str = "/aws-glue/jobs") -> list[str]:
        try:
            found = self.client("logs").get_log_events(
                logGroupName=f"{prefix}/{stream}", logStreamName=run_id, startFromHead=True
            )
        except self.client("logs").exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in found["events"]]

    def deploy_workflow(self, name: str, *jobs: str) -> None:
        """A workflow that runs the jobs one after the other, each on the success of the one before."""
        glue = self.client("glue")
        glue.create_workflow(Name=name, DefaultRunProperties={"mode": "incremental"}, MaxConcurrentRuns=1)
        for previous, job in zip((None, *jobs), jobs, strict=False):
            trigger = {"Name": f"{name}-start-{job}", "WorkflowName": name, "Actions": [{"JobName": job}]}
            if previous is None:
                glue.create_trigger(**trigger, Type="ON_DEMAND")
            else:
                condition = {"LogicalOperator": "EQUALS", "JobName": previous, "State": "SUCCEEDED"}
                predicate = {"Logical": "AND", "Conditions": [condition]}
                glue.create_trigger(**trigger, Type="CONDITIONAL", Predicate=predicate, StartOnCreation=True)

    def workflow_run(self, name: str, run_id: str) -> Any:
        return self.client("glue").get_workflow_run(Name=name, RunId=run_id, IncludeGraph=True)["Run"]

    def ended_workflow(self, name: str, run_id: str) -> Any:
        return until(lambda: self.workflow_run(name, run_id), lambda run: run["Status"] not in ("RUNNING", "STOPPING"))


def until(look: Callable[[], Any], good: Callable[[Any], bool], *, seconds: float = 30) -> Any:
    """What `look` returns as soon as it is good."""
    deadline = time.monotonic() + seconds
    while not good(found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s, last seen: {found}"
        time.sleep(0.05)
    return found


def emulator_server(folder: Path, *options: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "local_cloud.emulator", "--port", str(port), "--state", str(folder / "emulator")]
    command += ["--project", str(PROJECT), "--seconds-per-minute", "1.5", *(options or ("--warm-sessions", "0"))]
    return Server("emulator", tuple(command), port, "/_ministack/health", "aws_endpoint_url", folder, PROJECT)


def started(server: Server) -> Emulator:
    processes.start(server)
    processes.wait_until_ready(server)
    return Emulator(server)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    server = emulator_server(tmp_path_factory.mktemp("local cloud"))
    try:
        running = started(server)
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running
    finally:
        processes.stop(server)


@pytest.fixture
def e_mails(emulator: Emulator) -> Callable[[], list[str]]:
    """Tells the e-mails about failed job runs that came since the test began."""
    sns, events = emulator.client("sns"), emulator.client("events")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    pattern = {"source": ["aws.glue"], "detail-type": ["Glue Job State Change"], "detail": {"state": ["FAILED"]}}
    events.put_rule(Name="failed-jobs", EventPattern=json.dumps(pattern))
    words = {"InputPathsMap": {"job": "$.detail.jobName", "why": "$.detail.message"}, "InputTemplate": '"<job>: <why>"'}
    events.put_targets(Rule="failed-jobs", Targets=[{"Id": "mail", "Arn": topic, "InputTransformer": words}])
    outbox = emulator.server.folder / "outbox"
    before = set(outbox.glob("*.eml"))
    return lambda: [mail.read_text() for mail in sorted(set(outbox.glob("*.eml")) - before)]
