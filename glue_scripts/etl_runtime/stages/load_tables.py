"""Load, the lake's part: each table's change set on a branch, audited, then published in one commit."""

from dataclasses import dataclass
from typing import Literal

from pyspark.sql import functions as F  # noqa: N812  # the usual name
from pyspark.sql.types import StructType

from etl_model.pipeline import Table
from etl_runtime.change_log import PublishedChange, write_change
from etl_runtime.changes import (
    ABSENT,
    APPLIED,
    DELETE,
    INSERT,
    STALE,
    UNCHANGED,
    UPDATE,
    VERSION,
    classify,
    merge_statement,
)
from etl_runtime.context import RunContext
from etl_runtime.dataset_checks import check_dataset
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import DataFile, Lake, branch_name, branch_of, full_name, quoted
from etl_runtime.pending import Pending, pending_rows
from etl_runtime.stages.validate import require_staged, valid_table
from etl_runtime.staging import replace_working_table, rows_of
from etl_runtime.state import LoadedState, StagedState, staged_state

Counts = dict[str, int]
NOTHING: Counts = dict.fromkeys(
    ("valid_rows", "inserted_rows", "updated_rows", "deleted_rows", "unchanged_rows", "stale_rows"), 0
)


@dataclass(frozen=True)
class PreparedTable:
    """A branch that is audited and waits for its publication."""

    table: Table
    name: str
    state: LoadedState


def prepare_table(context: RunContext, lake: Lake, table: Table) -> PreparedTable | None:
    """The table's branch with this run's changes, audited; None when there is nothing to load."""
    pending = pending_rows(context, lake, table)
    counts = context.report.tables.setdefault(table.name, {})
    if pending.nothing:
        own = pending.loaded.run == context.run_id
        counts.update(pending.loaded.counts or NOTHING if own else {**NOTHING, **_rows_there(pending)})
        return None
    valid = valid_table(context, table)
    checked = require_staged(context, lake, valid, table, pending.from_seq, pending.to_seq)
    curated, branch = context.table_name("curated", table.name), branch_of(context.run_id)
    columns = _prepare_curated(context, lake, table, valid, curated)
    lake.start_branch(curated, branch)
    before = 0 if pending.from_seq == 0 else (pending.loaded.counts or {})["curated_rows"]
    target = branch_name(curated, branch)
    if table.load == "replace":
        done, change = _replace(context, lake, table, valid, target, columns, before)
    elif table.load == "append" or pending.from_seq == 0:
        done, change = _append(context, lake, table, pending, valid, target, columns)
    else:
        done, change = _merge(context, lake, table, pending, valid, target, columns)
    _account(context, lake, table, pending, checked, done)
    rows = context.spark.table(target).count()
    if rows != before + done["inserted_rows"] - done["deleted_rows"]:
        raise EtlError(
            where=f"table {table.name} audit",
            what=f"the branch has {rows} rows; {before} before + {done['inserted_rows']} inserted - {done['deleted_rows']} "
            "deleted are expected",
            way_out="Nothing was published; `etl resume` tries again from the load",
        )
    check_dataset(context, table, context.spark.table(target).drop(*VERSION))
    done["curated_rows"] = rows
    kind: Literal["full", "delta", "append"] = change or (
        "full" if pending.from_seq == 0 or table.load == "replace" else "append"
    )
    files = _changed_files(context, lake, table, curated, branch, kind)
    write_change(
        context.s3,
        context.names,
        context.pipeline.name,
        PublishedChange(
            table=table.name,
            kind=kind,
            files=tuple(file.path for file in files),
            rows=sum(file.rows for file in files),
            seq=pending.to_seq,
            after_seq=pending.from_seq,
            run=context.run_id,
        ),
    )
    counts.update(done)
    state = LoadedState(loaded_seq=pending.to_seq, run=context.run_id, counts=done)
    return PreparedTable(table=table, name=curated, state=state)


def publish_table(context: RunContext, lake: Lake, prepared: PreparedTable) -> None:
    """The branch becomes main, with the state, or nothing happens."""
    branch = branch_of(context.run_id)
    lake.publish_branch(prepared.name, branch, state=prepared.state.to_properties(), tag=branch)
    rows = (prepared.state.counts or {}).get("curated_rows")
    context.log.line("published", f"{prepared.table.name}: published with {rows} rows", table=prepared.table.name)


def _rows_there(pending: Pending) -> Counts:
    return {"curated_rows": (pending.loaded.counts or {}).get("curated_rows", 0)}


def _prepare_curated(context: RunContext, lake: Lake, table: Table, valid: str, curated: str) -> list[str]:
    """Creates the curated table or adds the columns that are new; returns the columns that are written."""
    schema = context.spark.table(full_name(valid)).schema
    fields = [field for field in schema if not field.name.startswith("_etl_")]
    wanted = StructType([*fields, *(schema[name] for name in VERSION)])
    if lake.load(curated) is None:
        location = f"{context.names.location(context.pipeline.name, 'curated')}/{table.name}"
        lake.create(curated, wanted, partition_by=table.partition_by, location=location)
        return wanted.names
    present = dict(lake.columns(curated))
    for field in fields:
        kind = field.dataType.simpleString()
        if present.get(field.name, kind) != kind:
            _widen(lake, table, curated, field.name, present[field.name], kind)
    lake.add_columns(curated, [(f.name, f.dataType.simpleString()) for f in fields if f.name not in present])
    return wanted.names


def _widen(lake: Lake, table: Table, curated: str, column: str, before: str, after: str) -> None:
    try:
        lake.spark.sql(f"ALTER TABLE {full_name(curated)} ALTER COLUMN {quoted(column)} TYPE {after}")
    except Exception as error:
        raise EtlError(
            where=f"table {table.name} column {column}",
            what=f"it is now {after}, and the curated table has {before}",
            way_out=f"Keep the type by casts: {{{column}: {before}}}, or load into a table of another name",
        ) from error


def _append(
    context: RunContext, lake: Lake, table: Table, pending: Pending, valid: str, target: str, columns: list[str]
) -> tuple[Counts, None]:
    """Every valid row that is not a delete: into an empty table, or one that only grows."""
    rows, total = context.spark.table(full_name(valid)), rows_of(lake, valid)
    new, known = rows.where(F.col("_etl_op") == "U"), 0
    one_increment = pending.raw.kind == "incremental" and pending.to_seq - pending.from_seq == 1
    if pending.from_seq and not one_increment:
        # A full read brings rows again that are there already.
        keys = [quoted(key) for key in table.primary_key]
        there = context.spark.table(full_name(context.table_name("curated", table.name))).select(*keys)
        new = new.join(there, on=table.primary_key, how="left_anti")
        known = total - new.count()
    may_delete = table.deletes == "compare_keys" and pending.to_seq - pending.from_seq > 1
    absent = rows.where(F.col("_etl_op") == "D").count() if may_delete else 0
    new.select(*(quoted(name) for name in columns)).writeTo(target).append()
    inserted = total - absent - known
    counts = {"valid_rows": total, "inserted_rows": inserted, "unchanged_rows": known, "stale_rows": absent}
    return {**NOTHING, **counts}, None


def _replace(
    context: RunContext, lake: Lake, table: Table, valid: str, target: str, columns: list[str], before: int
) -> tuple[Counts, None]:
    rows = context.spark.table(full_name(valid))
    rows.select(*(quoted(name) for name in columns)).writeTo(target).overwrite(F.lit(True))
    total = rows_of(lake, valid)
    return {**NOTHING, "valid_rows": total, "inserted_rows": total, "deleted_rows": before}, None


def _merge(
    context: RunContext, lake: Lake, table: Table, pending: Pending, valid: str, target: str, columns: list[str]
) -> tuple[Counts, Literal["delta"]]:
    keys = table.primary_key
    # An incremental extract has left out what did not change; any other reading has not.
    compare = pending.raw.kind != "incremental" or pending.to_seq - pending.from_seq > 1
    curated = context.spark.table(full_name(context.table_name("curated", table.name)))
    classified = classify(context.spark.table(full_name(valid)), curated, keys=keys, compare_content=compare).cache()
    try:
        found = {row["_etl_op"]: row["count"] for row in classified.groupBy("_etl_op").count().collect()}
        changes = context.table_name("staging", f"{table.name}__changes")
        written = replace_working_table(lake, changes, classified.where(F.col("_etl_op").isin(*APPLIED)))
    finally:
        classified.unpersist()
    if written:
        if found.get(UPDATE) or found.get(DELETE):
            context.spark.sql(merge_statement(target, full_name(changes), keys=keys, columns=columns))
        else:
            inserts = context.spark.table(full_name(changes)).select(*(quoted(name) for name in columns))
            inserts.writeTo(target).append()
    counts = {
        "valid_rows": rows_of(lake, valid),
        "inserted_rows": found.get(INSERT, 0),
        "updated_rows": found.get(UPDATE, 0),
        "deleted_rows": found.get(DELETE, 0),
        "unchanged_rows": found.get(UNCHANGED, 0),
        "stale_rows": found.get(STALE, 0) + found.get(ABSENT, 0),
    }
    return counts, "delta"


def _account(
    context: RunContext, lake: Lake, table: Table, pending: Pending, checked: StagedState, done: Counts
) -> None:
    """Every raw row that was pending is somewhere: applied, unchanged, stale, superseded, quarantined or filtered."""
    staged = staged_state(lake.properties(context.table_name("staging", table.name)))
    upstream = staged.counts if staged else {}
    raw = upstream.get("raw_rows", -1)
    dropped = upstream.get("superseded_rows", 0) + upstream.get("filtered_rows", 0) + checked.counts["quarantined_rows"]
    deleted = 0 if table.load == "replace" else done["deleted_rows"]
    loaded = done["inserted_rows"] + done["updated_rows"] + deleted + done["unchanged_rows"] + done["stale_rows"]
    if raw != dropped + loaded:
        raise EtlError(
            where=f"table {table.name} accounting",
            what=f"{raw} raw rows were pending; {loaded} are loaded or need no load, {dropped} superseded, filtered or quarantined",
            way_out="Nothing was published; `etl resume` tries again from the stage that failed",
        )


def _changed_files(
    context: RunContext, lake: Lake, table: Table, curated: str, branch: str, kind: Literal["full", "delta", "append"]
) -> list[DataFile]:
    if kind == "delta":
        return lake.files(context.table_name("staging", f"{table.name}__changes"))[0]
    files, _ = lake.files(curated, branch)
    if kind == "append":
        before = {file.path for file in lake.files(curated)[0]}
        return [file for file in files if file.path not in before]
    return files
