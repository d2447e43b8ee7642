"""Validate: one pass over staging that tells the rows to load from those to quarantine."""

from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.latest_rows import VIOLATIONS
from etl_runtime.pending import Pending, pending_rows
from etl_runtime.quality import QualityRuleError, Subject, failed_row_rules
from etl_runtime.stages.each_table import each_table
from etl_runtime.staging import replace_working_table
from etl_runtime.state import StagedState, staged_state

SAMPLE_ROWS = 3
FAILED = "_etl_rules"


def valid_table(context: RunContext, table: Table) -> str:
    return context.table_name("staging", f"{table.name}__valid")


def require_staged(context: RunContext, lake: Lake, name: str, table: Table, from_seq: int, to_seq: int) -> StagedState:
    """The state of a working table; EtlError unless it holds what this run expects."""
    found = staged_state(lake.properties(name))
    if found is None or (found.run, found.from_seq, found.to_seq) != (context.run_id, from_seq, to_seq):
        has = "nothing" if found is None else f"extracts {found.from_seq + 1} to {found.to_seq} of run {found.run}"
        raise EtlError(
            where=f"table {table.name}",
            what=f"{name} holds {has}; run {context.run_id} expects extracts {from_seq + 1} to {to_seq}",
            way_out="Start a new run, or resume this one from its first stage with `etl resume`",
        )
    return found


def validate(context: RunContext) -> None:
    lake = Lake(context.spark)
    each_table(context, lambda table: _validate(context, lake, table))


def _validate(context: RunContext, lake: Lake, table: Table) -> None:
    pending = pending_rows(context, lake, table)
    counts = context.report.tables.setdefault(table.name, {})
    if pending.nothing:
        counts.update(staged_rows=0, valid_rows=0, quarantined_rows=0)
        return
    staging, valid = context.table_name("staging", table.name), valid_table(context, table)
    staged = require_staged(context, lake, staging, table, pending.from_seq, pending.to_seq)
    done = staged_state(lake.properties(valid))
    if done is None or (done.run, done.from_seq, done.to_seq) != (staged.run, staged.from_seq, staged.to_seq):
        staged_rows = staged.counts["staged_rows"]
        frame = _judged(context, context.spark.table(full_name(staging)), table)
        failed = frame.where(F.size(FAILED) > 0)
        # The failed rows are safe before the valid ones say that this table is done.
        quarantined = _quarantine(context, lake, table, failed) if _may_fail(table, pending) else 0
        done_counts = {
            "staged_rows": staged_rows,
            "valid_rows": staged_rows - quarantined,
            "quarantined_rows": quarantined,
        }
        done = StagedState(run=staged.run, from_seq=staged.from_seq, to_seq=staged.to_seq, counts=done_counts)
        passed = frame.where(F.size(FAILED) == 0).drop(FAILED, VIOLATIONS)
        written = replace_working_table(lake, valid, passed, done.to_properties())
        if written != staged_rows - quarantined:
            raise EtlError(
                where=f"table {table.name} accounting",
                what=f"{staged_rows} rows were staged, but {written} are valid and {quarantined} in quarantine",
                way_out="Nothing was published; run the pipeline again and report this",
            )
    counts.update(done.counts)
    context.report.checks += _checks(context, table, pending, done.counts["quarantined_rows"])
    context.log.line(
        "validated",
        f"{table.name}: {done.counts['valid_rows']} rows valid, {done.counts['quarantined_rows']} in quarantine",
        table=table.name,
    )
    if done.counts["quarantined_rows"] and table.on_failed_row == "halt":
        raise EtlError(
            where=f"table {table.name} checks",
            what=f"{done.counts['quarantined_rows']} rows failed, and on_failed_row is halt",
            way_out="Correct them in the source and run again; the rows are in the quarantine table",
        )


def _judged(context: RunContext, staging: DataFrame, table: Table) -> DataFrame:
    try:
        failed = failed_row_rules(table.ruleset, Subject(staging.schema, context.started_at))
    except QualityRuleError as error:
        raise EtlError(
            where=f"table {table.name} checks", what=str(error), way_out="Correct the checks in the pipeline file"
        ) from error
    rules = F.when(F.col("_etl_op") == "D", F.array().cast("array<string>")).otherwise(failed)
    return staging.withColumn(FAILED, F.concat(F.col(VIOLATIONS), rules))


def _may_fail(table: Table, pending: Pending) -> bool:
    """Whether any row can fail: there are rules or casts, or a key that the source does not guarantee."""
    guaranteed = pending.raw.key_is_unique and pending.first_seq(table) == pending.to_seq
    return bool(table.ruleset.row_rules or table.casts or table.transform or (table.primary_key and not guaranteed))


def _quarantine(context: RunContext, lake: Lake, table: Table, failed: DataFrame) -> int:
    """Adds the failed rows that are not there yet (a row is known by seq and position); returns how many failed."""
    failed_rows = failed.count()
    if not failed_rows:
        return 0
    name = context.table_name("quarantine", table.name)
    rows = (
        failed.drop(VIOLATIONS)
        .withColumn("_etl_run", F.lit(context.run_id))
        .withColumn("_etl_quarantined_at", F.current_timestamp())
    )
    if lake.load(name) is None:
        location = f"{context.names.location(context.pipeline.name, 'quarantine')}/{table.name}"
        lake.create(name, rows.schema, location=location)
    else:
        present = dict(lake.columns(name))
        new_fields = [field for field in rows.schema if field.name not in present]
        lake.add_columns(name, [(field.name, field.dataType.simpleString()) for field in new_fields])
    known = context.spark.table(full_name(name)).select("_etl_seq", "_etl_row")
    new = rows.join(known, on=["_etl_seq", "_etl_row"], how="left_anti").select(*(quoted(c) for c in rows.columns))
    new.writeTo(full_name(name)).append()
    keys = ["_etl_seq", "_etl_row"]
    there = context.spark.table(full_name(name)).join(failed.select(*keys), on=keys, how="left_semi").count()
    if there != failed_rows:
        raise EtlError(
            where=f"table {table.name} quarantine",
            what=f"{failed_rows} rows failed, and {there} of them are in {name}",
            way_out="Nothing was published; run the pipeline again and report this",
        )
    return failed_rows


def _checks(context: RunContext, table: Table, pending: Pending, quarantined: int) -> list[dict[str, Any]]:
    """One entry per rule that was judged: how many rows failed it, and a few of them."""
    judged = [rule.text for rule in table.ruleset.row_rules]
    failures: dict[str, int] = {}
    samples: dict[str, list[dict[str, Any]]] = {}
    if quarantined:
        name = context.table_name("quarantine", table.name)
        rows = context.spark.table(full_name(name)).where(
            (F.col("_etl_seq") >= pending.first_seq(table)) & (F.col("_etl_seq") <= pending.to_seq)
        )
        exploded = rows.select("*", F.explode(FAILED).alias("_etl_rule"))
        counted = exploded.groupBy("_etl_rule").count().collect()
        failures = {row["_etl_rule"]: row["count"] for row in counted}
        first = Window.partitionBy("_etl_rule").orderBy("_etl_seq", "_etl_row")
        shown = [field for field in rows.columns if not field.startswith("_etl_")]
        values = [F.col(quoted(name)).cast("string").alias(name) for name in shown]
        few = exploded.withColumn("_etl_place", F.row_number().over(first)).where(F.col("_etl_place") <= SAMPLE_ROWS)
        for row in few.orderBy("_etl_rule", "_etl_place").select("_etl_rule", F.struct(*values).alias("row")).collect():
            samples.setdefault(row["_etl_rule"], []).append(row["row"].asDict())
    return [
        {
            "table": table.name,
            "rule": rule,
            "outcome": "failed" if failures.get(rule) else "passed",
            "failed_rows": failures.get(rule, 0),
            "sample": samples.get(rule, []),
        }
        for rule in dict.fromkeys([*judged, *failures])
    ]
