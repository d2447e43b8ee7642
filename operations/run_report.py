"""What the stages of a run said about it: their reports in the logs bucket, read into one typed RunReport."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl_model.names import STAGES, Names, Stage
from etl_model.problems import Problem
from operations.failures import error_code, failure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Document(BaseModel):
    """Keys that a newer runtime adds are not an error for an older `etl`."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReportedError(_Document):
    where: str
    what: str
    way_out: str = ""

    @property
    def problem(self) -> Problem:
        return Problem(self.where, self.what, self.way_out)


class CheckResult(_Document):
    """One rule of one table; `sample` holds some of the rows that failed it, as text by column.

    `observed` is what a rule about the whole table found, such as 24 for RowCount = 25.
    """

    table: str
    rule: str
    outcome: Literal["passed", "failed"]
    failed_rows: int = 0
    observed: Any = None
    sample: list[dict[str, Any]] = Field(default_factory=list)


class Comparison(_Document):
    """One table in the lake and in the warehouse."""

    table: str
    lake_rows: int | None = None
    warehouse_rows: int | None = None
    lake_checksum: int | str | None = None
    warehouse_checksum: int | str | None = None
    equal: bool


class StageReport(_Document):
    """One stage; `tables` maps a table to its counts of rows and its `seconds`."""

    environment: str
    pipeline: str
    run_id: str
    stage: Stage
    job_run_id: str
    status: Literal["succeeded", "failed"]
    started_at: datetime
    finished_at: datetime
    seconds: float
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)
    errors: list[ReportedError] = Field(default_factory=list)
    checks: list[CheckResult] = Field(default_factory=list)
    comparison: list[Comparison] = Field(default_factory=list)


@dataclass(frozen=True)
class TableResult:
    """A table's way through the run. Counts are of rows; None is what no stage has reported."""

    table: str
    source_rows: int | None = None
    unchanged_rows: int | None = None
    inserted_rows: int | None = None
    updated_rows: int | None = None
    superseded_rows: int | None = None
    quarantined_rows: int | None = None
    deleted_rows: int | None = None
    filtered_rows: int | None = None
    stale_rows: int | None = None
    curated_rows: int | None = None
    warehouse_rows: int | None = None
    seconds: tuple[tuple[Stage, float], ...] = ()

    def stage_seconds(self, stage: Stage) -> float | None:
        return dict(self.seconds).get(stage)


# Where each count is taken from: the stage that decides it. Rows can turn out unchanged on the way in, or when loaded.
_COUNTS: dict[str, tuple[Stage, ...]] = {
    "source_rows": ("extract",),
    "unchanged_rows": ("extract", "load"),
    "superseded_rows": ("transform",),
    "filtered_rows": ("transform",),
    "quarantined_rows": ("validate",),
    "inserted_rows": ("load",),
    "updated_rows": ("load",),
    "deleted_rows": ("load",),
    "stale_rows": ("load",),
    "curated_rows": ("load",),
    "warehouse_rows": ("load",),
}


@dataclass(frozen=True)
class RunReport:
    """The reports of the stages that have ended, by stage; a stage that was killed has none."""

    pipeline: str
    run_id: str
    stages: dict[Stage, StageReport]

    @cached_property
    def tables(self) -> tuple[TableResult, ...]:
        """In the order in which the stages first name them: the pipeline's tables, then its marts."""
        names = dict.fromkeys(name for stage in STAGES if (report := self.stages.get(stage)) for name in report.tables)
        return tuple(self._table(name) for name in names)

    def _table(self, name: str) -> TableResult:
        reported = {stage: report.tables[name] for stage, report in self.stages.items() if name in report.tables}
        counts: dict[str, int] = {}
        for count, stages in _COUNTS.items():
            values = [value for stage in stages if isinstance(value := reported.get(stage, {}).get(count), int)]
            if values:
                counts[count] = sum(values)
        seconds = tuple(
            (stage, float(reported[stage]["seconds"])) for stage in STAGES if "seconds" in reported.get(stage, {})
        )
        return TableResult(table=name, seconds=seconds, **counts)

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        return tuple(check for report in self._in_order() for check in report.checks)

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        return tuple(check for check in self.checks if check.outcome == "failed")

    @property
    def comparison(self) -> tuple[Comparison, ...]:
        return tuple(row for report in self._in_order() for row in report.comparison)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(error.problem for report in self._in_order() for error in report.errors)

    @property
    def is_loaded(self) -> bool:
        """Whether Load has finished: before that its counts are of what it prepared, not of what is published."""
        load = self.stages.get("load")
        return load is not None and load.status == "succeeded"

    @property
    def rows_loaded(self) -> int | None:
        """Rows inserted and updated over all tables, once they are published."""
        return self.total("inserted_rows", "updated_rows") if self.is_loaded else None

    def total(self, *counts: str) -> int | None:
        """The sum of these counts over all tables, or None where no table has any of them."""
        values = [value for table in self.tables for count in counts if (value := getattr(table, count)) is not None]
        return sum(values) if values else None

    def _in_order(self) -> Iterable[StageReport]:
        return (self.stages[stage] for stage in STAGES if stage in self.stages)


def read_run_report(s3: "S3Client", *, names: Names, pipeline: str, run_id: str) -> RunReport:
    """The reports of one logical run from the logs bucket; without any stage when none has ended yet."""
    stages: dict[Stage, StageReport] = {}
    for stage in STAGES:
        key = f"{names.run_prefix(pipeline, run_id)}/{stage}.json"
        try:
            body = s3.get_object(Bucket=names.bucket("logs"), Key=key)["Body"].read()
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                continue
            raise
        stages[stage] = parse_stage_report(body, where=f"s3://{names.bucket('logs')}/{key}")
    return RunReport(pipeline=pipeline, run_id=run_id, stages=stages)


def parse_stage_report(body: bytes, *, where: str) -> StageReport:
    """The report; OperationError that names the key when it is not one that etl_runtime writes."""
    try:
        return StageReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise failure(
            where,
            f"not a stage report: {key or 'the document'}: {first['msg']}",
            "Deploy jobs and `etl` from the same version",
        ) from None
