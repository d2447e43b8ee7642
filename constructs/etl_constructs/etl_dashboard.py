"""The first screen of an environment: does every pipeline run, and how long do its jobs take."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from etl_constructs.job_outcomes import JobOutcomes
from etl_model.names import STAGES, Names

WIDTH, HALF, THIRD = 24, 12, 8


class EtlDashboard(Construct):
    """One row of widgets a pipeline, below a row for the whole environment."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        outcomes: Mapping[str, JobOutcomes],
        missed_starts: Mapping[str, cloudwatch.IAlarm],
    ) -> None:
        super().__init__(scope, id)
        dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=names.dashboard(), default_interval=Duration.days(7)
        )
        dashboard.add_widgets(
            cloudwatch.TextWidget(markdown=f"# ETL {names.environment}\n{', '.join(outcomes)}", width=WIDTH, height=2)
        )
        if outcomes:
            dashboard.add_widgets(
                _counts("Completed runs", {name: each.metric_completed() for name, each in outcomes.items()}),
                _counts("Job runs not succeeded", {name: each.metric_failed() for name, each in outcomes.items()}),
            )
        if missed_starts:
            dashboard.add_widgets(
                cloudwatch.AlarmStatusWidget(title="Missed starts", alarms=list(missed_starts.values()), width=WIDTH)
            )
        for pipeline, each in outcomes.items():
            dashboard.add_widgets(
                cloudwatch.SingleValueWidget(
                    title=f"{pipeline}: last 7 days",
                    metrics=[each.metric_completed(), each.metric_failed()],
                    set_period_to_time_range=True,
                    width=THIRD,
                ),
                cloudwatch.GraphWidget(
                    title=f"{pipeline}: seconds of each job",
                    left=[_seconds(names.job(pipeline, stage), label=stage) for stage in STAGES],
                    left_y_axis=cloudwatch.YAxisProps(min=0, label="seconds", show_units=False),
                    width=WIDTH - THIRD,
                ),
            )


def _counts(title: str, metrics: Mapping[str, cloudwatch.Metric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=[metric.with_(label=name) for name, metric in metrics.items()],
        left_y_axis=cloudwatch.YAxisProps(min=0, label="an hour", show_units=False),
        width=HALF,
    )


def _seconds(job: str, *, label: str) -> cloudwatch.IMetric:
    """Longest run in an hour, from the driver's own clock in milliseconds."""
    elapsed = cloudwatch.Metric(
        namespace="Glue",
        metric_name="glue.driver.aggregate.elapsedTime",
        dimensions_map={"JobName": job, "JobRunId": "ALL", "Type": "count"},
        statistic=cloudwatch.Stats.MAXIMUM,
        period=Duration.hours(1),
    )
    return cloudwatch.MathExpression(
        expression=f"{label} / 1000", using_metrics={label: elapsed}, label=label, period=Duration.hours(1)
    )
