"""A pipeline: its databases, four jobs with their roles, the workflow, its schedule and its checks."""

from typing import Any

from aws_cdk import Duration, IgnoreMode, Stack
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from etl_constructs.data_lake_buckets import find_buckets
from etl_constructs.data_quality_rulesets import DataQualityRulesets
from etl_constructs.encryption_key import find_key
from etl_constructs.etl_job import EtlJob, limited_workers
from etl_constructs.etl_workflow import EtlWorkflow, WorkflowSchedule
from etl_constructs.job_logs import JobLogs
from etl_constructs.job_packages import JobPackages
from etl_constructs.lake_databases import LakeDatabases
from etl_constructs.package_locks import needed_groups, package_set
from etl_model.names import STAGES, Stage
from etl_model.pipeline import Pipeline
from stacks.deployment import Deployment
from stacks.stage_access import grant_stage, stage_access

NOT_CODE = ["**/__pycache__", "**/*.pyc", "**/.*"]


class PipelineStack(Stack):
    def __init__(
        self, scope: Construct, id: str, *, deployment: Deployment, pipeline: Pipeline, **options: Any
    ) -> None:
        super().__init__(scope, id, **options)
        environment, names, sources = deployment.environment, deployment.names, deployment.sources
        buckets = find_buckets(self, names=names)
        logs_key = find_key(self, "LogsKey", names=names, purpose="logs")
        LakeDatabases(self, "Databases", names=names, pipeline=pipeline.name, removal_policy=deployment.removal_policy)
        job_logs = JobLogs(
            self,
            "Logs",
            names=names,
            pipeline=pipeline.name,
            key=logs_key,
            retention_days=environment.retention.logs_days,
            removal_policy=deployment.removal_policy,
        )
        # The packages that scripts import, at the zip's root; the scripts themselves are assets of their own.
        runtime = s3_assets.Asset(
            self,
            "Runtime",
            path=str(sources.glue_scripts),
            exclude=["*", "!etl_runtime", "!etl_model", "!etl_runtime/**", "!etl_model/**", *NOT_CODE],
            ignore_mode=IgnoreMode.GIT,
        )
        bundle = s3_assets.Asset(
            self,
            "Bundle",
            path=str(sources.pipelines / pipeline.name),
            exclude=NOT_CODE,
            ignore_mode=IgnoreMode.GIT,
        )
        network = glue.Connection.from_connection_name(self, "Network", names.network_connection())
        packages: dict[tuple[str, ...], JobPackages] = {}
        jobs: dict[Stage, EtlJob] = {}
        for stage in STAGES:
            groups = needed_groups(pipeline, stage=stage, connections=environment.connections)
            if groups not in packages:
                packages[groups] = JobPackages(
                    self,
                    f"Packages{'-'.join(groups)}",
                    packages=package_set(groups, locks=sources.glue_scripts / "requirements"),
                    folder=sources.wheels,
                )
            jobs[stage] = EtlJob(
                self,
                stage.capitalize(),
                names=names,
                pipeline=pipeline.name,
                stage=stage,
                script=sources.glue_scripts / f"{stage}.py",
                runtime=runtime,
                bundle=bundle,
                packages=packages[groups],
                workers=limited_workers(pipeline.workers, environment.workers),
                logs=job_logs,
                network=network,
                max_retries=pipeline.max_retries,
                timeout=Duration.minutes(pipeline.timeout_minutes),
            )
            grant_stage(
                jobs[stage],
                role=jobs[stage].role,
                access=stage_access(pipeline, stage),
                deployment=deployment,
                pipeline=pipeline.name,
                buckets=buckets,
            )
        workflow = EtlWorkflow(
            self, "Workflow", names=names, pipeline=pipeline.name, description=pipeline.description, jobs=jobs
        )
        if pipeline.schedule != "none":
            WorkflowSchedule(
                self,
                "Schedule",
                names=names,
                pipeline=pipeline.name,
                workflow=workflow,
                expression=pipeline.schedule,
                time_zone=environment.time_zone,
                enabled=environment.schedules == "enabled",
                key=logs_key,
            )
        DataQualityRulesets(self, "Checks", names=names, pipeline=pipeline)
