"""What every stage of a run starts from: the pipeline file fixed by the first stage, the run's id and mode, clients, log."""

import atexit
import io
import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from pyspark.sql import SparkSession

from etl_model.names import Names, Stage
from etl_model.pipeline import Pipeline, Table
from etl_model.project import load_pipeline
from etl_runtime.arguments import JobArguments
from etl_runtime.errors import EtlError
from etl_runtime.report import StageReport
from etl_runtime.run_log import RunLog


@dataclass(frozen=True)
class RunProperties:
    """The logical run: its id survives `etl resume`, unlike Glue's own workflow run id."""

    run_id: str
    mode: str
    tables: tuple[str, ...]


@dataclass(frozen=True)
class RunContext:
    """One stage of one run. `folder` holds the pipeline file and what it names."""

    arguments: JobArguments
    names: Names
    stage: Stage
    run: RunProperties
    started_at: datetime
    pipeline: Pipeline
    folder: Path
    spark: SparkSession
    s3: Any
    log: RunLog
    report: StageReport

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def tables(self) -> list[Table]:
        """The tables that this run is about, in the order of the file."""
        return [table for table in self.pipeline.tables if not self.run.tables or table.name in self.run.tables]

    def table_name(self, layer: str, table: str) -> str:
        """`database.table` in the Glue catalog."""
        return f"{self.names.database(self.pipeline.name, layer)}.{table}"  # type: ignore[arg-type]  # a Layer


def manifest_location(names: Names, pipeline: str, run_id: str) -> tuple[str, str]:
    """(bucket, key) of the manifest of a run, written once by Extract."""
    return names.bucket("raw"), f"{pipeline}/_runs/{run_id}/manifest.json"


def read_run_properties(arguments: JobArguments, stage: Stage) -> RunProperties:
    """From the workflow run; Extract gives a run that has no id yet the id of its workflow run."""
    if not arguments.workflow_name or not arguments.workflow_run_id:
        return RunProperties(run_id=arguments.job_run_id, mode="incremental", tables=())
    glue = boto3.client("glue", region_name=arguments.region)
    where = {"Name": arguments.workflow_name, "RunId": arguments.workflow_run_id}
    properties = glue.get_workflow_run_properties(**where).get("RunProperties", {})
    if not properties.get("run_id"):
        if stage != "extract":
            raise EtlError(
                where=f"workflow run {arguments.workflow_run_id}",
                what="it has no run_id, which Extract sets",
                way_out="Start the whole workflow, not a single stage of it",
            )
        properties["run_id"] = arguments.workflow_run_id
        glue.put_workflow_run_properties(**where, RunProperties={"run_id": arguments.workflow_run_id})
    mode = properties.get("mode") or "incremental"
    if mode not in ("incremental", "full_refresh"):
        raise EtlError(
            where=f"workflow run {arguments.workflow_run_id}",
            what=f"mode {mode!r} is unknown",
            way_out="Use incremental or full_refresh",
        )
    tables = tuple(name.strip() for name in properties.get("tables", "").split(",") if name.strip())
    return RunProperties(run_id=properties["run_id"], mode=mode, tables=tables)


def read_manifest(s3: Any, names: Names, pipeline: str, run_id: str) -> dict[str, Any] | None:
    """The run's manifest, or None when Extract has not written it yet."""
    bucket, key = manifest_location(names, pipeline, run_id)
    try:
        document: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return document


def fetch_pipeline(s3: Any, bundle: str) -> tuple[Pipeline, Path]:
    """The pipeline of a bundle (s3://… zip of pipelines/NAME) and the local folder that it was unpacked to."""
    bucket, _, key = bundle.removeprefix("s3://").partition("/")
    archive = zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    folder = Path(tempfile.mkdtemp(prefix="pipeline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive.extractall(folder)
    return load_pipeline(folder / "pipeline.yaml"), folder


def check_run_tables(run: RunProperties, pipeline: Pipeline) -> None:
    known = [table.name for table in pipeline.tables]
    unknown = [name for name in run.tables if name not in known]
    if unknown:
        raise EtlError(
            where=f"pipeline {pipeline.name}",
            what=f"no table named {', '.join(unknown)}",
            way_out=f"Its tables are: {', '.join(known)}",
        )
