from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aws_cdk import Stack
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template

from etl_constructs.etl_job import EtlJob
from etl_constructs.etl_workflow import EtlWorkflow, WorkflowSchedule, dead_letter_queue_name
from etl_model.names import STAGES, Names, Stage
from tests.constructs.conftest import properties


@pytest.fixture
def workflow(stack: Stack, names: Names, tmp_path: Path) -> EtlWorkflow:
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("glue.amazonaws.com"))
    script = tmp_path / "script.py"
    script.write_text("")
    jobs = {
        stage: SimpleNamespace(
            job=glue.PySparkEtlJob(stack, stage, role=role, script=glue.Code.from_asset(str(script)))
        )
        for stage in STAGES
    }
    return EtlWorkflow(
        stack,
        "Workflow",
        names=names,
        pipeline="sales",
        description="Orders",
        jobs=cast(Mapping[Stage, EtlJob], jobs),
    )


def scheduled(stack: Stack, names: Names, workflow: EtlWorkflow, *, enabled: bool) -> dict[str, Any]:
    WorkflowSchedule(
        stack,
        "Schedule",
        names=names,
        pipeline="sales",
        workflow=workflow,
        expression="cron(15 2 * * ? *)",
        time_zone="Europe/Dublin",
        enabled=enabled,
        key=kms.Key(stack, "Key"),
    )
    (schedule,) = properties(stack, "AWS::Scheduler::Schedule")
    return schedule


def test_a_workflow_has_one_start_and_a_chain_of_successes(stack: Stack, workflow: EtlWorkflow) -> None:
    triggers = properties(stack, "AWS::Glue::Trigger")
    assert [each["Type"] for each in triggers] == ["ON_DEMAND", "CONDITIONAL", "CONDITIONAL", "CONDITIONAL"]
    assert all(each["WorkflowName"] == workflow.workflow_name for each in triggers)
    assert "StartOnCreation" not in triggers[0]
    assert [each["StartOnCreation"] for each in triggers[1:]] == [True, True, True]


def test_a_schedule_is_local_time_with_its_own_switch(stack: Stack, names: Names, workflow: EtlWorkflow) -> None:
    schedule = scheduled(stack, names, workflow, enabled=False)
    assert schedule["State"] == "DISABLED"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Dublin"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_a_start_that_keeps_failing_is_kept(stack: Stack, names: Names, workflow: EtlWorkflow) -> None:
    schedule = scheduled(stack, names, workflow, enabled=True)
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10}
    (queue,) = properties(stack, "AWS::SQS::Queue")
    assert queue["QueueName"] == dead_letter_queue_name(names, "sales") == "etl-test-sales-missed-starts"
    assert "KmsMasterKeyId" in queue


def test_only_this_accounts_schedules_may_take_the_role(stack: Stack, names: Names, workflow: EtlWorkflow) -> None:
    scheduled(stack, names, workflow, enabled=True)
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Action": "sts:AssumeRole",
                        "Condition": {
                            "StringEquals": {
                                "aws:SourceAccount": "123456789012",
                                "aws:SourceArn": "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/default",
                            }
                        },
                        "Effect": "Allow",
                        "Principal": {"Service": "scheduler.amazonaws.com"},
                    }
                ]
            }
        },
    )


def test_a_queues_name_is_cut_to_what_sqs_takes() -> None:
    names = Names(environment="e" * 40, account="123456789012", region="eu-west-1")
    assert len(dead_letter_queue_name(names, "p" * 40)) <= 80
