"""The four stages over real PostgreSQL, S3 and Glue catalog, in this process: what the local cloud does, without jobs."""

import io
import json
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from pyspark.sql import Row, SparkSession

from etl_model.connections import glue_connection_properties
from etl_model.environment import Connection
from etl_model.names import LAYERS, ZONES, Names, Stage
from etl_runtime.arguments import JobArguments
from etl_runtime.context import RunContext, RunProperties, fetch_pipeline, read_manifest
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.report import StageReport
from etl_runtime.run_log import RunLog
from etl_runtime.session import session_settings
from etl_runtime.stages.extract import extract
from etl_runtime.stages.load import load
from etl_runtime.stages.transform import transform
from etl_runtime.stages.validate import validate
from local_cloud.postgres import PostgresLogin

REGION = "us-east-1"
STAGES = {"extract": extract, "transform": transform, "validate": validate, "load": load}


@dataclass
class Workbench:
    """One pipeline named `name` over the database of `login`; every test has its own names, so nothing is shared."""

    name: str
    spark: SparkSession
    login: PostgresLogin
    names: Names
    bundles: int = 0
    bundle: str = ""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def prepare(self, connections: dict[str, Connection]) -> None:
        """Buckets, databases, connections and secrets, as the CDK app would deploy them."""
        s3, glue = boto3.client("s3", region_name=REGION), boto3.client("glue", region_name=REGION)
        for zone in ZONES:
            s3.create_bucket(Bucket=self.names.bucket(zone))
        for layer in LAYERS:
            location = self.names.location(self.name, layer)
            database = {"Name": self.names.database(self.name, layer), "LocationUri": location}
            glue.create_database(DatabaseInput=database)
        for name, connection in connections.items():
            kind, properties = glue_connection_properties(connection)
            glue.create_connection(
                ConnectionInput={
                    "Name": self.names.connection(name),
                    "ConnectionType": kind,
                    "ConnectionProperties": properties,  # type: ignore[typeddict-item]
                }
            )
        for key, value in session_settings(region=REGION, warehouse=f"s3://{self.names.bucket('curated')}").items():
            if key != "spark.sql.extensions":
                self.spark.conf.set(key, value)
        self.spark.conf.set("spark.sql.shuffle.partitions", "2")

    def sql(self, *statements: str) -> None:
        """Statements on the source, committed together."""
        connection = self.login.connect()
        try:
            with connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def deploy(self, tables: str, *, files: dict[str, str] | None = None, rest: str = "") -> None:
        """The pipeline file, given its `tables:` (and what follows them), zipped to a bundle as a deployment would."""
        text = f"name: {self.name}\ndescription: test\nowner: a@example.com\ntables:\n{tables}\n{rest}\n"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as bundle:
            for file, content in {"pipeline.yaml": text, **(files or {})}.items():
                bundle.writestr(file, content)
        self.bundles += 1
        key = f"bundles/{self.name}-{self.bundles}.zip"
        boto3.client("s3", region_name=REGION).put_object(
            Bucket=self.names.bucket("logs"), Key=key, Body=archive.getvalue()
        )
        self.bundle = f"s3://{self.names.bucket('logs')}/{key}"

    def context(
        self, stage: Stage, run_id: str, *, mode: str = "incremental", tables: Iterable[str] = ()
    ) -> RunContext:
        s3 = boto3.client("s3", region_name=REGION)
        manifest = read_manifest(s3, self.names, self.name, run_id)
        pipeline, folder = fetch_pipeline(s3, manifest["pipeline_bundle"] if manifest else self.bundle)
        return RunContext(
            arguments=JobArguments(
                environment=self.names.environment,
                account=self.names.account,
                region=REGION,
                prefix="",
                pipeline=self.name,
                pipeline_bundle=self.bundle,
                artifact_version="test",
                job_run_id=f"jr_{run_id}",
                workflow_name=None,
                workflow_run_id=None,
            ),
            names=self.names,
            stage=stage,
            run=RunProperties(run_id=run_id, mode=mode, tables=tuple(tables)),
            started_at=datetime.fromisoformat(manifest["started_at"]) if manifest else datetime.now(UTC),
            pipeline=pipeline,
            folder=folder,
            spark=self.spark,
            s3=s3,
            log=RunLog(stage=stage, pipeline=self.name, run_id=run_id, stream=sys.stderr),
            report=StageReport(self.names.environment, self.name, run_id, stage, f"jr_{run_id}"),
        )

    def stage(self, stage: Stage, run_id: str, *, mode: str = "incremental", tables: Iterable[str] = ()) -> StageReport:
        """One stage; what it reported is kept by stage name."""
        context = self.context(stage, run_id, mode=mode, tables=tables)
        STAGES[stage](context)
        self.reports[stage] = json.loads(json.dumps(context.report.document(), default=str))
        return context.report

    def run(self, run_id: str, *, mode: str = "incremental", tables: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """All four stages; returns the counts of each table, those of later stages over those of earlier ones."""
        counts: dict[str, dict[str, Any]] = {}
        for stage in ("extract", "transform", "validate", "load"):
            report = self.stage(stage, run_id, mode=mode, tables=tables)  # type: ignore[arg-type]  # a Stage
            for table, found in report.tables.items():
                counts.setdefault(table, {}).update(found)
        return counts

    def rows(self, layer: str, table: str, *columns: str, order: str = "1") -> list[tuple[Any, ...]]:
        """Rows of a lake table: the given columns, or all but those of the platform."""
        name = full_name(f"{self.names.database(self.name, layer)}.{table}")  # type: ignore[arg-type]  # a Layer
        frame = self.spark.table(name)
        chosen = columns or tuple(column for column in frame.columns if not column.startswith("_etl_"))
        selected = frame.selectExpr(*chosen)
        found: list[Row] = selected.orderBy(
            *(quoted(selected.columns[int(part) - 1]) for part in order.split(","))
        ).collect()
        return [tuple(row) for row in found]

    def snapshots(self) -> dict[str, str]:
        """The metadata location of every table of the pipeline: equal before and after means that nothing was committed."""
        glue, found = boto3.client("glue", region_name=REGION), {}
        for layer in LAYERS:
            database = self.names.database(self.name, layer)
            for table in glue.get_tables(DatabaseName=database)["TableList"]:
                found[f"{layer}.{table['Name']}"] = table["Parameters"]["metadata_location"]
        return found

    @property
    def lake(self) -> Lake:
        return Lake(self.spark)
