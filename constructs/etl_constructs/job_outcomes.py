"""The ends of a pipeline's job runs: failures go to the topic at once, both kinds are counted."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from constructs import Construct

from etl_model.names import STAGES, Names

FAILED_STATES = ("FAILED", "TIMEOUT", "STOPPED")


class JobOutcomes(Construct):
    """Rules on Glue's job state events. A run that EventBridge misses is missed here too: events are best effort."""

    def __init__(self, scope: Construct, id: str, *, names: Names, pipeline: str, topic: sns.ITopic) -> None:
        super().__init__(scope, id)
        jobs = [names.job(pipeline, stage) for stage in STAGES]
        self._failed = events.Rule(
            self,
            "Failed",
            description=f"A job of pipeline {pipeline} did not succeed",
            event_pattern=_ended(jobs, FAILED_STATES),
            targets=[targets.SnsTopic(topic, message=_failure_text(names=names, pipeline=pipeline))],
        )
        # No target: a rule counts what it matches. The last job's success is the pipeline's.
        self._completed = events.Rule(
            self,
            "Completed",
            description=f"Pipeline {pipeline} loaded",
            event_pattern=_ended([names.job(pipeline, STAGES[-1])], ("SUCCEEDED",)),
        )

    def metric_failed(self) -> cloudwatch.Metric:
        """Job runs that did not succeed, retries included."""
        return _matched(self._failed, label="not succeeded")

    def metric_completed(self) -> cloudwatch.Metric:
        """Pipeline runs that reached their end."""
        return _matched(self._completed, label="completed")


def _ended(jobs: list[str], states: tuple[str, ...]) -> events.EventPattern:
    return events.EventPattern(
        source=["aws.glue"], detail_type=["Glue Job State Change"], detail={"jobName": jobs, "state": list(states)}
    )


def _failure_text(*, names: Names, pipeline: str) -> events.RuleTargetInput:
    job, state, run, message = (
        events.EventField.from_path(f"$.detail.{field}") for field in ("jobName", "state", "jobRunId", "message")
    )
    return events.RuleTargetInput.from_multiline_text(
        f"ETL {names.environment}: pipeline {pipeline}, job {job}: {state}\n"
        f"{message}\n"
        f"Job run {run}. Log: CloudWatch group {names.log_group(pipeline)}/output, stream {run}\n"
        f"What happened and the way out: etl status {pipeline} --environment {names.environment}\n"
        f"Continue from the stage that failed: etl resume {pipeline} --environment {names.environment}"
    )


def _matched(rule: events.Rule, *, label: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Events",
        metric_name="TriggeredRules",
        dimensions_map={"RuleName": rule.rule_name},
        statistic=cloudwatch.Stats.SUM,
        period=Duration.hours(1),
        label=label,
    )
