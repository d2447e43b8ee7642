from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as s3_assets

from etl_constructs.etl_job import EtlJob, JobWorkers, limited_workers
from etl_constructs.job_logs import JobLogs
from etl_constructs.job_packages import JobPackages
from etl_constructs.package_locks import PackageSet
from etl_model.environment import WorkerLimits
from etl_model.names import Names
from etl_model.pipeline import Workers
from tests.constructs.conftest import properties

WORKERS = JobWorkers(type="G.2X", count=4, flex=False, auto_scaling=True)


def deployed(stack: Stack, names: Names, folder: Path, workers: JobWorkers = WORKERS) -> dict[str, Any]:
    (folder / "source").mkdir()
    (folder / "source" / "extract.py").write_text("")
    asset = s3_assets.Asset(stack, "Asset", path=str(folder / "source"))
    EtlJob(
        stack,
        "Extract",
        names=names,
        pipeline="sales",
        stage="extract",
        script=folder / "source" / "extract.py",
        runtime=asset,
        bundle=asset,
        packages=JobPackages(stack, "Packages", packages=PackageSet(("base",), "0" * 12), folder=folder),
        workers=workers,
        logs=JobLogs(
            stack,
            "Logs",
            names=names,
            pipeline="sales",
            key=kms.Key(stack, "Key"),
            retention_days=7,
            removal_policy=RemovalPolicy.DESTROY,
        ),
        network=glue.Connection.from_connection_name(stack, "Network", "etl-test-network"),
        max_retries=2,
        timeout=Duration.minutes(90),
    )
    (job,) = properties(stack, "AWS::Glue::Job")
    return job


def test_workers_retries_and_timeout_are_those_asked_for(stack: Stack, names: Names, tmp_path: Path) -> None:
    job = deployed(stack, names, tmp_path)
    assert (job["WorkerType"], job["NumberOfWorkers"]) == ("G.2X", 4)
    assert (job["MaxRetries"], job["Timeout"]) == (2, 90)
    assert job["GlueVersion"] == "5.1"
    assert "ExecutionClass" not in job


def test_flexible_execution_keeps_everything_else(stack: Stack, names: Names, tmp_path: Path) -> None:
    job = deployed(stack, names, tmp_path, replace(WORKERS, flex=True))
    assert job["ExecutionClass"] == "FLEX"
    assert job["GlueVersion"] == "5.1"
    assert job["NumberOfWorkers"] == 4


def test_auto_scaling_is_asked_for_only_where_wanted(stack: Stack, names: Names, tmp_path: Path) -> None:
    job = deployed(stack, names, tmp_path, replace(WORKERS, auto_scaling=False))
    assert "--enable-auto-scaling" not in job["DefaultArguments"]


def test_no_argument_is_empty_but_glues_own_switch(stack: Stack, names: Names, tmp_path: Path) -> None:
    arguments = deployed(stack, names, tmp_path)["DefaultArguments"]
    assert [name for name, value in arguments.items() if value == ""] == ["--enable-metrics"]
    assert arguments["--prefix"] == "-"


def test_the_role_is_glues_alone_and_reads_no_data_before_the_stack_grants_it(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    deployed(stack, names, tmp_path)
    (role,) = properties(stack, "AWS::IAM::Role")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "glue.amazonaws.com"}
    assert "ManagedPolicyArns" not in role
    (policy,) = properties(stack, "AWS::IAM::Policy")
    assert "etl-test-" not in str(
        [each["Resource"] for each in policy["PolicyDocument"]["Statement"] if "s3:" in str(each)]
    )


@pytest.mark.parametrize(
    ("wanted", "limits", "expected"),
    [
        (Workers(count=10), WorkerLimits(), (10, False)),
        (Workers(count=10), WorkerLimits(max_count=4), (4, False)),
        (Workers(count=2), WorkerLimits(max_count=4), (2, False)),
        (Workers(flex=True), WorkerLimits(), (2, True)),
        (Workers(flex=False), WorkerLimits(flex=True), (2, True)),
        (Workers(flex=True), WorkerLimits(flex=False), (2, False)),
        (Workers(type="G.4X"), WorkerLimits(flex=True), (2, False)),
    ],
)
def test_an_environment_limits_what_pipelines_ask_for(
    wanted: Workers, limits: WorkerLimits, expected: tuple[int, bool]
) -> None:
    workers = limited_workers(wanted, limits)
    assert (workers.count, workers.flex) == expected
