"""Transform: the newest version of each pending row, cast and shaped, in staging."""

from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.context import RunContext
from etl_runtime.custom_transform import apply_transform
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.latest_rows import META, VIOLATIONS, cast_rows, latest_rows, mark_keys
from etl_runtime.pending import pending_rows
from etl_runtime.stages.each_table import each_table
from etl_runtime.staging import replace_working_table
from etl_runtime.state import StagedState, staged_state


def transform(context: RunContext) -> None:
    lake = Lake(context.spark)
    each_table(context, lambda table: _transform(context, lake, table))


def _transform(context: RunContext, lake: Lake, table: Table) -> None:
    pending = pending_rows(context, lake, table)
    if pending.nothing:
        context.report.tables.setdefault(table.name, {}).update(
            raw_rows=0, staged_rows=0, superseded_rows=0, filtered_rows=0
        )
        return
    staging = context.table_name("staging", table.name)
    staged = staged_state(lake.properties(staging))
    if staged is None or (staged.run, staged.from_seq, staged.to_seq) != (
        context.run_id,
        pending.from_seq,
        pending.to_seq,
    ):
        first = pending.first_seq(table)
        raw = context.spark.table(full_name(context.table_name("raw", table.name))).where(
            (F.col("_etl_seq") >= first) & (F.col("_etl_seq") <= pending.to_seq)
        )
        one_seq = first == pending.to_seq
        latest = latest_rows(raw, table, several_seqs=not one_seq)
        cast = cast_rows(latest, table)
        shaped = cast
        if table.transform is not None:
            live = apply_transform(cast.where("_etl_op = 'U'"), table, context.folder, kept=(*META, VIOLATIONS))
            # Deletes pass by the pipeline's own function: a filter of live rows must not swallow them.
            deletes = cast.where("_etl_op = 'D'").select(*(quoted(key) for key in table.primary_key), *META, VIOLATIONS)
            shaped = live.unionByName(deletes, allowMissingColumns=True)
        # The source's constraint holds in one extract, for the key as the source has it.
        guaranteed = pending.raw.key_is_unique and one_seq and table.transform is None
        guaranteed = guaranteed and not any(key in table.casts for key in table.primary_key)
        shaped = mark_keys(shaped, table, key_is_unique=guaranteed)
        # An extract knows how many rows it committed; only what several of them leave has to be counted.
        raw_rows = pending.raw.raw_rows if one_seq else raw.count()
        latest_count = raw_rows if one_seq else latest.count()
        staged_rows = latest_count if table.transform is None else shaped.count()
        if staged_rows > latest_count:
            raise EtlError(
                where=f"table {table.name} transform {table.transform}",
                what=f"it made {staged_rows} rows of {latest_count}",
                way_out="A transform may change and drop rows; what multiplies them belongs in a mart",
            )
        counts = {
            "raw_rows": raw_rows,
            "staged_rows": staged_rows,
            "superseded_rows": raw_rows - latest_count,
            "filtered_rows": latest_count - staged_rows,
        }
        staged = StagedState(run=context.run_id, from_seq=pending.from_seq, to_seq=pending.to_seq, counts=counts)
        written = replace_working_table(lake, staging, shaped, staged.to_properties())
        if written != staged_rows:
            raise EtlError(
                where=f"table {table.name} accounting",
                what=f"{raw_rows} raw rows should leave {staged_rows} in staging, and {written} are there",
                way_out="Nothing was published; run the pipeline again and report this",
            )
    context.report.tables.setdefault(table.name, {}).update(staged.counts)
    context.log.line("staged", f"{table.name}: {staged.counts['staged_rows']} rows staged", table=table.name)
