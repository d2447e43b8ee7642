"""Hard deletes and missed rows, found by comparing the source's keys with those of the lake, in one snapshot."""

from dataclasses import dataclass

from etl_model.pipeline import Table
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_runtime.errors import EtlError


@dataclass(frozen=True)
class KeyDifference:
    """`deleted`: key columns of rows that the lake has and the source has not. `missed`: keys (with cursor) the other way."""

    deleted: DataFrame
    deleted_rows: int
    missed: DataFrame
    missed_rows: int


def compare_keys(table: Table, *, source: DataFrame, lake: DataFrame, read: DataFrame) -> KeyDifference:
    """`source`: key columns and cursor of every row in the snapshot. `lake`: key columns of every row that is loaded or
    about to be. `read`: key columns and cursor of every row ever read, this run's included.

    Raises EtlError when the source has no keys while the lake has, or when more is gone than `max_deleted_percent` allows.
    """
    keys = list(table.primary_key)
    source_keys = source.select(*(_column(key) for key in keys))
    deleted = lake.join(source_keys, on=keys, how="left_anti").cache()
    compared = [*keys, *([table.cursor.column] if table.cursor and table.cursor.column not in keys else [])]
    same = _all([source_side.eqNullSafe(read_side) for source_side, read_side in _pairs(compared)])
    missed = source.alias("source").join(read.alias("read"), on=same, how="left_anti").cache()
    deleted_rows = deleted.count()
    if deleted_rows:
        lake_rows, source_rows = lake.count(), source.count()
        if source_rows == 0:
            raise EtlError(
                where=f"table {table.name} deletes",
                what=f"the source has no rows at all, and the lake has {lake_rows}",
                way_out="If that is meant, use load: replace for one run; otherwise look at the source",
            )
        percent = 100 * deleted_rows / lake_rows
        if percent > table.max_deleted_percent:
            raise EtlError(
                where=f"table {table.name} deletes",
                what=f"{deleted_rows} of {lake_rows} rows ({percent:.1f} %) are gone from the source, "
                f"more than max_deleted_percent ({table.max_deleted_percent:g})",
                way_out="If that is meant, raise max_deleted_percent for one run; otherwise look at the source",
            )
    return KeyDifference(deleted=deleted, deleted_rows=deleted_rows, missed=missed, missed_rows=missed.count())


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def _pairs(names: list[str]) -> list[tuple[Column, Column]]:
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    return [(F.col(f"source.{name}"), F.col(f"read.{name}")) for name in quoted]


def _all(conditions: list[Column]) -> Column:
    result = conditions[0]
    for condition in conditions[1:]:
        result = result & condition
    return result


def source_text(name: str, spark_type: str) -> Column:
    """A key's value as PostgreSQL's ::text writes it, to fetch rows by key."""
    column = _column(name)
    text = column.cast("string")
    if spark_type == "timestamp":
        return F.concat(text, F.lit("+00"))
    if spark_type == "binary":
        return F.concat(F.lit("\\x"), F.lower(F.hex(column)))
    return text
