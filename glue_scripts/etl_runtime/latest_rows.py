"""From raw rows to the rows to load: newest version of each key, declared casts, and what is wrong with a row."""

import re
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.iceberg import quoted

VIOLATIONS = "_etl_violations"
META = ("_etl_seq", "_etl_row", "_etl_op")
_NOTHING_WRONG = "array<string>"
# Spark fills in a missing day with today and cuts a seventh decimal.
_WHOLE_TIMESTAMP = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)?$"


def latest_rows(raw: DataFrame, table: Table, *, several_seqs: bool) -> DataFrame:
    """The rows of the newest seq of each key as the source has it; rows without a whole key are all kept."""
    if not table.primary_key or not several_seqs:
        return raw
    keys = [quoted(key) for key in table.primary_key]
    newest = Window.partitionBy(*keys).orderBy(F.col("_etl_seq").desc())
    keyless = reduce(or_, (F.col(key).isNull() for key in keys))
    ranked = raw.withColumn("_etl_rank", F.rank().over(newest))
    return ranked.where((F.col("_etl_rank") == 1) | keyless).drop("_etl_rank")


def cast_rows(latest: DataFrame, table: Table) -> DataFrame:
    """Declared casts applied, with `_etl_violations`: one for each value that would not survive its cast exactly."""
    cast, failed = _casts(latest, table)
    columns = [cast.get(name, F.col(quoted(name))).alias(name) for name in latest.columns if name not in META]
    return latest.select(*columns, *META, _violations(failed).alias(VIOLATIONS))


def mark_keys(frame: DataFrame, table: Table, *, key_is_unique: bool) -> DataFrame:
    """Adds violations for rows whose key is NULL or shared, as the rows are to be loaded: after casts and transform.

    Rows that share a key are all in violation, since nothing tells which of them is right. `key_is_unique` says that the
    source's own constraint still guarantees it.
    """
    if not table.primary_key:
        return frame
    keys = [quoted(key) for key in table.primary_key]
    found = [
        F.when(F.col(key).isNull(), F.lit(f"IsComplete {name!r} (primary key)"))
        for key, name in zip(keys, table.primary_key, strict=True)
    ]
    marked = frame
    if not key_is_unique:
        same = Window.partitionBy(*keys, "_etl_op")
        complete = reduce(and_, (F.col(key).isNotNull() for key in keys))
        marked = frame.withColumn("_etl_same", F.count(F.lit(1)).over(same))
        named = " ".join(repr(key) for key in table.primary_key)
        found.append(F.when((F.col("_etl_same") > 1) & complete, F.lit(f"IsPrimaryKey {named} (primary key)")))
    names = [quoted(name) for name in frame.columns if name != VIOLATIONS]
    return marked.select(*names, F.concat(F.col(VIOLATIONS), _violations(found)).alias(VIOLATIONS))


def _violations(rules: list[Column]) -> Column:
    """The rules that are not NULL. A tombstone has its key and nothing else: there is nothing in it to judge."""
    nothing = F.array().cast(_NOTHING_WRONG)
    if not rules:
        return nothing
    return F.when(F.col("_etl_op") == "D", nothing).otherwise(F.array_compact(F.array(*rules)))


def _casts(frame: DataFrame, table: Table) -> tuple[dict[str, Column], list[Column]]:
    kinds = dict(frame.dtypes)
    cast: dict[str, Column] = {}
    failed: list[Column] = []
    for name, kind in table.casts.items():
        before = kinds[name]
        if before == kind:
            continue
        column = F.col(quoted(name))
        cast[name] = F.expr(f"try_cast({quoted(name)} as {kind})")
        exact = _survives(name, before=before, after=kind, converted=cast[name])
        failed.append(F.when(column.isNotNull() & ~exact, F.lit(f"ColumnDataType {name!r} = {kind} (cast)")))
    return cast, failed


def _survives(name: str, *, before: str, after: str, converted: Column) -> Column:
    """Whether the value is the same after the cast. Text to float and double is the one that may round."""
    column, there = F.col(quoted(name)), converted.isNotNull()
    if before != "string":
        back = F.expr(f"try_cast(try_cast({quoted(name)} as {after}) as {before})")
        return there & back.eqNullSafe(column)
    text = F.trim(column)
    decimal = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", after)
    if decimal:
        # Digits after the point, without zeros at the end, must fit; 1e-3 and the like are refused with them.
        digits = F.length(F.regexp_extract(text, r"\.(\d*?)0*$", 1))
        return there & ~F.lower(text).contains("e") & (digits <= int(decimal[2]))
    if after in ("timestamp", "timestamp_ntz"):
        return there & text.rlike(_WHOLE_TIMESTAMP)
    if after == "date":
        return there & (F.length(text) <= len("9999-12-31"))
    return there
