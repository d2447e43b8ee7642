"""A small project with one pipeline, deployed to moto's AWS and configured for a local cloud that does not run."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws
from moto.glue.models import glue_backends
from typer.testing import CliRunner, Result

from operations.target import Target, open_target

ACCOUNT = "123456789012"  # moto's own
STARTED = datetime(2026, 11, 23, 20, 13, 44, tzinfo=UTC)

_ENVIRONMENT = """
name: {name}
account: "{account}"
region: eu-west-1
{endpoint}
removal_policy: destroy
schedules: disabled
alert_emails: [data@example.com]
network:
  create: {{cidr: 10.0.0.0/16, availability_zones: [eu-west-1a], nat_gateways: 1}}
  s3_prefix_list_id: pl-6da54004
connections:
  erp: {{kind: postgresql, host: erp.example.com, database: erp, secret: etl/erp}}
  snowflake:
    kind: snowflake
    account: example
    warehouse: ETL
    role: LOADER
    secret: etl/snowflake
    storage_integration: LAKE
"""

_PIPELINE = """
name: shop
description: Orders of the shop
owner: shop@example.com
tables:
  - {name: orders, source: {connection: erp, table: public.orders}, primary_key: [id], load: merge}
  - {name: products, source: {connection: erp, table: public.products}, load: replace}
warehouse: {connection: snowflake, database: ANALYTICS, schema: SHOP, tables: [orders]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: environments `sandbox` (moto's account), `production` (another's) and `local`."""
    folder = tmp_path / "a project"
    (folder / "environments").mkdir(parents=True)
    (folder / "cdk.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    for name, account, endpoint in (
        ("sandbox", ACCOUNT, ""),
        ("production", "999999999999", ""),
        ("local", "000000000000", f"aws_endpoint_url: http://127.0.0.1:{closed_port}"),
    ):
        text = _ENVIRONMENT.format(name=name, account=account, endpoint=endpoint)
        (folder / "environments" / f"{name}.yaml").write_text(text)
    (folder / "pipelines" / "shop").mkdir(parents=True)
    (folder / "pipelines" / "shop" / "pipeline.yaml").write_text(_PIPELINE)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    for variable in ("ETL_ENVIRONMENT", "ETL_PREFIX", "ETL_DEBUG", "AWS_PROFILE", "AWS_ENDPOINT_URL", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture
def target(project: Path, aws: None) -> Target:
    """The sandbox, with pipeline shop deployed: its workflow, its log group and the logs bucket."""
    found = open_target(project, "sandbox")
    found.glue.create_workflow(Name=found.names.workflow("shop"), MaxConcurrentRuns=1)
    location: Any = {"LocationConstraint": "eu-west-1"}
    found.s3.create_bucket(Bucket=found.names.bucket("logs"), CreateBucketConfiguration=location)
    found.logs.create_log_group(logGroupName=f"{found.names.log_group('shop')}/output")
    return found


@pytest.fixture
def etl() -> Callable[..., Result]:
    """Runs the command with these arguments."""
    from operations.cli import app

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


def workflow_response(
    target: Target,
    stages: Mapping[str, list[tuple[str, str]]],
    *,
    status: str = "COMPLETED",
    properties: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Glue's answer about a run whose jobs made these attempts, each (state, error message), a minute after another."""
    nodes: list[dict[str, Any]] = [{"Type": "TRIGGER", "Name": "start", "UniqueId": "t"}]
    for position, (stage, attempts) in enumerate(stages.items()):
        job = target.names.job("shop", stage)  # type: ignore[arg-type]  # a Stage
        runs = []
        for attempt, (state, message) in enumerate(attempts):
            started = STARTED + timedelta(minutes=position, seconds=10 * attempt)
            run = {
                "Id": f"jr_{stage}_{attempt}",
                "Attempt": attempt,
                "JobName": job,
                "JobRunState": state,
                "StartedOn": started,
            }
            if state not in ("RUNNING", "STARTING"):
                run["CompletedOn"] = started + timedelta(seconds=8)
            if message:
                run["ErrorMessage"] = message
            runs.append(run)
        nodes.append({"Type": "JOB", "Name": job, "UniqueId": job, "JobDetails": {"JobRuns": runs}})
    response: dict[str, Any] = {
        "Name": target.names.workflow("shop"),
        "WorkflowRunId": "wr_1",
        "Status": status,
        "StartedOn": STARTED,
        "WorkflowRunProperties": {"run_id": "20261123T201344-ab12cd", "mode": "incremental", **(properties or {})},
        "Graph": {"Nodes": nodes, "Edges": []},
    }
    if status != "RUNNING":
        response["CompletedOn"] = STARTED + timedelta(minutes=4)
    return response


@pytest.fixture
def glue_ends(target: Target, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes every run of moto's workflow end with these attempts of its jobs: moto itself never starts a job."""
    workflow = glue_backends[ACCOUNT]["eu-west-1"].workflows[target.names.workflow("shop")]
    make = workflow.start_run

    def ends(stages: Mapping[str, list[tuple[str, str]]], status: str = "COMPLETED") -> None:
        def start(properties: dict[str, str] | None) -> str:
            workflow_run_id: str = make(properties)
            run = workflow.runs[workflow_run_id]
            age = timedelta(hours=len(workflow.runs))
            answer = workflow_response(target, stages, status=status, properties=run.properties)
            answer |= {"WorkflowRunId": workflow_run_id, "StartedOn": STARTED + age}
            if status != "RUNNING":
                answer["CompletedOn"] = STARTED + age + timedelta(minutes=4)
            monkeypatch.setattr(run, "as_dict", lambda: answer)
            return workflow_run_id

        monkeypatch.setattr(workflow, "start_run", start)

    return ends


@pytest.fixture
def put_report(target: Target) -> Callable[..., None]:
    """Leaves a stage's report in the logs bucket, as a job does."""

    def put(
        stage: str, *, run_id: str, job_run_id: str, tables: Mapping[str, object] | None = None, **others: object
    ) -> None:
        document = {
            "environment": "sandbox", "pipeline": "shop", "run_id": run_id, "stage": stage, "job_run_id": job_run_id,
            "status": "failed" if others.get("errors") else "succeeded", "started_at": "2026-11-23T20:13:44.000Z",
            "finished_at": "2026-11-23T20:13:52.500Z", "seconds": 8.5, "tables": tables or {}, "errors": [],
            "checks": [], "comparison": [], **others,
        }  # fmt: skip
        key = f"{target.names.run_prefix('shop', run_id)}/{stage}.json"
        target.s3.put_object(Bucket=target.names.bucket("logs"), Key=key, Body=json.dumps(document))

    return put


@pytest.fixture
def workflow_answer(target: Target) -> Callable[..., dict[str, Any]]:
    """`workflow_response` of the deployed pipeline."""

    def answer(stages: Mapping[str, list[tuple[str, str]]], **others: Any) -> dict[str, Any]:
        return workflow_response(target, stages, **others)

    return answer
