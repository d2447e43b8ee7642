"""Who hears of what: the alert topic, its rules and alarms, and the environment's dashboard."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from etl_constructs.alerting_topic import AlertingTopic
from etl_constructs.etl_dashboard import EtlDashboard
from etl_constructs.etl_workflow import dead_letter_queue_name
from etl_constructs.job_outcomes import JobOutcomes
from etl_model.pipeline import Pipeline
from stacks.deployment import Deployment


class MonitoringStack(Stack):
    def __init__(
        self, scope: Construct, id: str, *, deployment: Deployment, pipelines: Sequence[Pipeline], **options: Any
    ) -> None:
        super().__init__(scope, id, **options)
        names = deployment.names
        topic = AlertingTopic(
            self,
            "Alerts",
            names=names,
            emails=deployment.environment.alert_emails,
            removal_policy=deployment.removal_policy,
        ).topic
        outcomes = {
            pipeline.name: JobOutcomes(
                self, f"Outcomes{pipeline.name}", names=names, pipeline=pipeline.name, topic=topic
            )
            for pipeline in pipelines
        }
        missed = {
            pipeline.name: self._missed_starts(deployment=deployment, pipeline=pipeline.name, topic=topic)
            for pipeline in pipelines
            if pipeline.schedule != "none"
        }
        EtlDashboard(self, "Overview", names=names, outcomes=outcomes, missed_starts=missed)

    def _missed_starts(self, *, deployment: Deployment, pipeline: str, topic: sns.ITopic) -> cloudwatch.Alarm:
        queue = dead_letter_queue_name(deployment.names, pipeline)
        alarm = cloudwatch.Alarm(
            self,
            f"MissedStarts{pipeline}",
            alarm_name=queue,
            alarm_description=(
                f"ETL {deployment.names.environment}: pipeline {pipeline} was not started on time. Why: the messages "
                f"in queue {queue}. Then: etl run {pipeline} --environment {deployment.names.environment}"
            ),
            metric=cloudwatch.Metric(
                namespace="AWS/SQS",
                metric_name="ApproximateNumberOfMessagesVisible",
                dimensions_map={"QueueName": queue},
                statistic=cloudwatch.Stats.MAXIMUM,
                period=Duration.minutes(5),
            ),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
        return alarm
