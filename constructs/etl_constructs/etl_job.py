"""One stage of a pipeline as a Glue job with a role of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from etl_constructs.access import connections_access, metrics_access, run_properties_access, worker_network_access
from etl_constructs.job_logs import JobLogs
from etl_constructs.job_packages import JobPackages
from etl_model.environment import WorkerLimits
from etl_model.names import Names, Stage
from etl_model.pipeline import Workers

# The L2's own default is Glue 4.0. 5.1: Spark 3.5.6, Python 3.11, Java 17, Iceberg 1.10.
GLUE_VERSION = glue.GlueVersion.V5_1
# Flexible execution takes these worker types only.
FLEX_TYPES = ("G.1X", "G.2X")


@dataclass(frozen=True)
class JobWorkers:
    """Workers of a job after the environment's limits. With auto scaling `count` is the most that Glue takes."""

    type: str
    count: int
    flex: bool
    auto_scaling: bool


def limited_workers(wanted: Workers, limits: WorkerLimits) -> JobWorkers:
    """What the pipeline asks for within what the environment allows."""
    flex = wanted.flex if limits.flex is None else limits.flex
    return JobWorkers(
        type=wanted.type,
        count=min(wanted.count, limits.max_count or wanted.count),
        flex=flex and wanted.type in FLEX_TYPES,
        auto_scaling=wanted.auto_scaling,
    )


class EtlJob(Construct):
    """The Glue job of a stage. Its role can run, log and reach its workflow; data is granted by the stack.

    `runtime` is a zip whose root holds the packages that the scripts import, `bundle` the pipeline's folder.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        pipeline: str,
        stage: Stage,
        script: Path,
        runtime: s3_assets.Asset,
        bundle: s3_assets.Asset,
        packages: JobPackages,
        workers: JobWorkers,
        logs: JobLogs,
        network: glue.IConnection,
        max_retries: int,
        timeout: Duration,
    ) -> None:
        super().__init__(scope, id)
        self.role = iam.Role(
            self,
            "Role",
            role_name=names.role(pipeline, stage),
            description=f"Glue job {names.job(pipeline, stage)}",
            assumed_by=iam.ServicePrincipal("glue.amazonaws.com"),
        )
        for asset in (runtime, bundle):
            asset.grant_read(self.role)
        packages.grant_read(self.role)
        logs.grant_write(self.role)
        for statement in (
            run_properties_access(self, workflow=names.workflow(pipeline)),
            connections_access(self, connections=[names.network_connection()]),
            metrics_access(namespace="Glue"),
            *worker_network_access(self),
        ):
            self.role.add_to_principal_policy(statement)
        settings: dict[str, Any] = {
            "job_name": names.job(pipeline, stage),
            "description": f"{stage.capitalize()} of pipeline {pipeline} in {names.environment}",
            "role": self.role,
            "script": glue.Code.from_asset(str(script)),
            "extra_python_files": [glue.Code.from_bucket(runtime.bucket, runtime.s3_object_key)],
            "glue_version": GLUE_VERSION,
            "worker_configuration": glue.WorkerConfiguration(
                worker_type=glue.WorkerType[workers.type.replace(".", "_")], number_of_workers=workers.count
            ),
            "max_retries": max_retries,
            "max_concurrent_runs": 1,
            "timeout": timeout,
            "connections": [network],
            "security_configuration": logs.security_configuration,
            # Glue 5 always logs continuously; the switch belongs to Glue 4 and names other log groups.
            "continuous_logging": glue.ContinuousLoggingProps(enabled=False),
            "default_arguments": {
                **_job_arguments(names=names, pipeline=pipeline, bundle=bundle, runtime=runtime),
                **_glue_arguments(packages=packages, logs=logs, workers=workers),
            },
        }
        kind = glue.PySparkFlexEtlJob if workers.flex else glue.PySparkEtlJob
        self.job: glue.IJob = kind(self, "Job", **settings)


def _job_arguments(
    *, names: Names, pipeline: str, bundle: s3_assets.Asset, runtime: s3_assets.Asset
) -> Mapping[str, str]:
    """What the scripts read. Glue refuses empty values, so no prefix is a dash."""
    return {
        "--environment": names.environment,
        "--prefix": names.prefix or "-",
        "--account": names.account,
        "--region": names.region,
        "--pipeline": pipeline,
        "--pipeline_bundle": bundle.s3_object_url,
        "--artifact_version": runtime.asset_hash[:12],
    }


def _glue_arguments(*, packages: JobPackages, logs: JobLogs, workers: JobWorkers) -> Mapping[str, str]:
    """What Glue itself reads."""
    arguments = {
        "--additional-python-modules": packages.s3_url,
        # Everything is in the zip: a private subnet has no way to a package index.
        "--python-modules-installer-option": "--no-index",
        "--datalake-formats": "iceberg",
        "--job-bookmark-option": "job-bookmark-disable",
        "--custom-logGroup-prefix": logs.prefix,
    }
    if workers.auto_scaling:
        arguments["--enable-auto-scaling"] = "true"
    return arguments
