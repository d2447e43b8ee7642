from typing import Any

import pytest
from aws_cdk import RemovalPolicy, Stack
from aws_cdk.assertions import Match, Template

from etl_constructs.alerting_topic import AlertingTopic
from etl_constructs.etl_dashboard import EtlDashboard
from etl_constructs.job_outcomes import JobOutcomes
from etl_model.names import Names
from tests.constructs.conftest import properties

OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.fixture
def alerts(stack: Stack, names: Names) -> AlertingTopic:
    return AlertingTopic(
        stack, "Alerts", names=names, emails=["a@example.com", "b@example.com"], removal_policy=RemovalPolicy.DESTROY
    )


def admitted(statements: list[dict[str, Any]]) -> dict[str, Any]:
    """Condition by service that a policy admits."""
    return {
        each["Principal"]["Service"]: each.get("Condition")
        for each in statements
        if each["Effect"] == "Allow" and "Service" in each["Principal"]
    }


def test_every_address_is_subscribed_to_an_encrypted_topic(stack: Stack, alerts: AlertingTopic) -> None:
    assert [each["Endpoint"] for each in properties(stack, "AWS::SNS::Subscription")] == [
        "a@example.com",
        "b@example.com",
    ]
    (topic,) = properties(stack, "AWS::SNS::Topic")
    assert topic["TopicName"] == "etl-test-alerts"
    assert "KmsMasterKeyId" in topic


def test_topic_and_key_admit_alarms_and_budgets_of_this_account_and_rules(
    stack: Stack, names: Names, alerts: AlertingTopic
) -> None:
    """EventBridge says no source: with a condition every one of its messages would be dropped in silence."""
    JobOutcomes(stack, "Outcomes", names=names, pipeline="sales", topic=alerts.topic)
    expected = {
        "cloudwatch.amazonaws.com": OWN_ACCOUNT,
        "budgets.amazonaws.com": OWN_ACCOUNT,
        "events.amazonaws.com": None,
    }
    (policy,) = properties(stack, "AWS::SNS::TopicPolicy")
    assert admitted(policy["PolicyDocument"]["Statement"]) == expected
    (key,) = properties(stack, "AWS::KMS::Key")
    assert admitted(key["KeyPolicy"]["Statement"]) == expected
    for each in key["KeyPolicy"]["Statement"]:
        if "Service" in each["Principal"]:
            assert each["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]


def test_a_failed_job_is_told_at_once_with_where_what_and_the_way_out(
    stack: Stack, names: Names, alerts: AlertingTopic
) -> None:
    JobOutcomes(stack, "Outcomes", names=names, pipeline="sales", topic=alerts.topic)
    failed = next(each for each in properties(stack, "AWS::Events::Rule") if "Targets" in each)
    assert failed["EventPattern"]["detail"]["state"] == ["FAILED", "TIMEOUT", "STOPPED"]
    assert failed["EventPattern"]["detail"]["jobName"] == [
        "etl-test-sales-extract",
        "etl-test-sales-transform",
        "etl-test-sales-validate",
        "etl-test-sales-load",
    ]
    text = failed["Targets"][0]["InputTransformer"]["InputTemplate"]
    for part in (
        "ETL test: pipeline sales, job <detail-jobName>: <detail-state>",
        "<detail-message>",
        "Job run <detail-jobRunId>",
        "/etl/etl-test/sales/output",
        "etl resume sales --environment test",
    ):
        assert part in text


def test_completed_pipelines_are_counted_by_the_success_of_their_last_job(
    stack: Stack, names: Names, alerts: AlertingTopic
) -> None:
    JobOutcomes(stack, "Outcomes", names=names, pipeline="sales", topic=alerts.topic)
    Template.from_stack(stack).has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventPattern": {"detail": {"jobName": ["etl-test-sales-load"], "state": ["SUCCEEDED"]}},
            "Targets": Match.absent(),
        },
    )


def test_the_dashboard_shows_runs_failures_and_seconds_of_every_job(
    stack: Stack, names: Names, alerts: AlertingTopic
) -> None:
    outcomes = {
        pipeline: JobOutcomes(stack, pipeline, names=names, pipeline=pipeline, topic=alerts.topic)
        for pipeline in ("sales", "stock")
    }
    EtlDashboard(stack, "Overview", names=names, outcomes=outcomes, missed_starts={})
    (dashboard,) = properties(stack, "AWS::CloudWatch::Dashboard")
    assert dashboard["DashboardName"] == "etl-test"
    body = str(dashboard["DashboardBody"])
    for title in (
        "Completed runs",
        "Job runs not succeeded",
        "sales: seconds of each job",
        "stock: seconds of each job",
    ):
        assert title in body
    for job in ("etl-test-sales-extract", "etl-test-stock-load"):
        assert job in body
