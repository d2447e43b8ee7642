"""The frame of every job: arguments, run, pipeline, session; then the stage; then its report, whatever happened."""

import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import boto3

from etl_model.names import Stage
from etl_model.problems import ConfigurationError
from etl_runtime.arguments import JobArguments, parse_arguments
from etl_runtime.context import (
    RunContext,
    RunProperties,
    check_run_tables,
    fetch_pipeline,
    read_manifest,
    read_run_properties,
)
from etl_runtime.errors import EtlError, EtlErrors
from etl_runtime.report import StageReport
from etl_runtime.run_log import RunLog
from etl_runtime.session import start_session


def run_job(stage: Stage, work: Callable[[RunContext], None], argv: Sequence[str]) -> None:
    """Runs one stage. Ends the process with one readable line when it fails; the report and the log have the rest."""
    try:
        arguments = parse_arguments(argv)
        run = read_run_properties(arguments, stage)
    except EtlError as error:
        sys.exit(f"EtlError: {error}")
    names = arguments.names
    report = StageReport(
        environment=arguments.environment,
        pipeline=arguments.pipeline,
        run_id=run.run_id,
        stage=stage,
        job_run_id=arguments.job_run_id,
    )
    log = RunLog(stage=stage, pipeline=arguments.pipeline, run_id=run.run_id)
    s3 = boto3.client("s3", region_name=arguments.region)
    failure: Exception | None = None
    try:
        log.line("started", f"{stage} started")
        work(_context(stage, arguments, run, report, log, s3))
    except Exception as error:
        failure = error
        report.add_error(error)
        if not isinstance(error, EtlError | EtlErrors | ConfigurationError):
            traceback.print_exc()
    report.write(s3, names)
    if failure is not None:
        for problem in report.errors:
            log.line("failed", f"{problem['where']}: {problem['what']}. {problem['way_out']}", level="error")
        first = report.errors[0]
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        sys.exit(f"EtlError: {first['where']}: {first['what']}. {first['way_out']}{more}")
    log.line("finished", f"{stage} finished in {report.document()['seconds']} s")


def _context(
    stage: Stage, arguments: JobArguments, run: RunProperties, report: StageReport, log: RunLog, s3: object
) -> RunContext:
    names = arguments.names
    manifest = read_manifest(s3, names, arguments.pipeline, run.run_id)
    if manifest is None and stage != "extract":
        raise EtlError(
            where=f"run {run.run_id}",
            what="Extract has not written its manifest",
            way_out="Start the whole workflow, not a single stage of it",
        )
    # What the first stage ran with is what the run means, also when something was deployed in between.
    bundle = manifest["pipeline_bundle"] if manifest else arguments.pipeline_bundle
    started = datetime.fromisoformat(manifest["started_at"]) if manifest else datetime.now(UTC)
    pipeline, folder = fetch_pipeline(s3, bundle)
    check_run_tables(run, pipeline)
    spark = start_session(
        app=names.job(arguments.pipeline, stage), region=arguments.region, warehouse=f"s3://{names.bucket('curated')}"
    )
    spark.sparkContext.setLogLevel("ERROR")
    return RunContext(
        arguments=arguments,
        names=names,
        stage=stage,
        run=run,
        started_at=started,
        pipeline=pipeline,
        folder=folder,
        spark=spark,
        s3=s3,
        log=log,
        report=report,
    )
