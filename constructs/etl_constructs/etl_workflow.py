"""The order of a pipeline's jobs, and what starts them."""

import json
from collections.abc import Mapping

from aws_cdk import Duration, RemovalPolicy, Stack, TimeZone
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from etl_constructs.access import start_workflow_access
from etl_constructs.etl_job import EtlJob
from etl_model.names import STAGES, Names, Stage, shortened

QUEUE_LIMIT = 80


class EtlWorkflow(Construct):
    """A Glue workflow of the four jobs: each starts when the one before it has succeeded; one run at a time."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, pipeline: str, description: str, jobs: Mapping[Stage, EtlJob]
    ) -> None:
        super().__init__(scope, id)
        self.workflow_name = names.workflow(pipeline)
        workflow = glue.CfnWorkflow(
            self,
            "Workflow",
            name=self.workflow_name,
            description=description,
            max_concurrent_runs=1,
        )
        before: tuple[Stage, glue.CfnTrigger] | None = None
        for stage in STAGES:
            trigger = glue.CfnTrigger(
                self,
                stage.capitalize(),
                name=names.trigger(pipeline, stage),
                type="CONDITIONAL" if before else "ON_DEMAND",
                workflow_name=self.workflow_name,
                # A conditional trigger is made switched off otherwise; an on-demand one knows no state.
                start_on_creation=True if before else None,
                predicate=_succeeded(names.job(pipeline, before[0])) if before else None,
                actions=[glue.CfnTrigger.ActionProperty(job_name=names.job(pipeline, stage))],
            )
            trigger.add_resource_dependency(workflow)
            # Glue refuses triggers of one workflow that are made at the same time.
            if before:
                trigger.add_resource_dependency(before[1])
            trigger.node.add_dependency(jobs[stage].job)
            before = (stage, trigger)


class WorkflowSchedule(Construct):
    """Starts a workflow on time. Starts that fail for an hour are kept in a dead-letter queue.

    EventBridge Scheduler rather than a Glue trigger: CloudFormation cannot switch a Glue schedule on or off later.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        pipeline: str,
        workflow: EtlWorkflow,
        expression: str,
        time_zone: str,
        enabled: bool,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)
        dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=dead_letter_queue_name(names, pipeline),
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            removal_policy=RemovalPolicy.DESTROY,
        )
        group = f"arn:{stack.partition}:scheduler:{stack.region}:{stack.account}:schedule-group/default"
        role = iam.Role(
            self,
            "Role",
            role_name=names.role(pipeline, "schedule"),
            description=f"Starts Glue workflow {workflow.workflow_name}",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": stack.account, "aws:SourceArn": group}},
            ),
        )
        dead_letters.grant_send_messages(role)
        scheduler.Schedule(
            self,
            "Schedule",
            schedule_name=names.schedule(pipeline),
            description=f"Starts pipeline {pipeline}",
            schedule=scheduler.ScheduleExpression.expression(expression, TimeZone.of(time_zone)),
            enabled=enabled,
            target=targets.Universal(
                service="glue",
                action="startWorkflowRun",
                input=scheduler.ScheduleTargetInput.from_text(json.dumps({"Name": workflow.workflow_name})),
                role=role,
                policy_statements=[start_workflow_access(self, workflow=workflow.workflow_name)],
                dead_letter_queue=dead_letters,
                max_event_age=Duration.hours(1),
                retry_attempts=10,
            ),
        )


def dead_letter_queue_name(names: Names, pipeline: str) -> str:
    return shortened(f"{names.workflow(pipeline)}-missed-starts", limit=QUEUE_LIMIT)


def _succeeded(job_name: str) -> glue.CfnTrigger.PredicateProperty:
    return glue.CfnTrigger.PredicateProperty(
        logical="AND",
        conditions=[glue.CfnTrigger.ConditionProperty(job_name=job_name, state="SUCCEEDED", logical_operator="EQUALS")],
    )
