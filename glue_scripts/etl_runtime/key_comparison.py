"""Hard deletes and missed rows, found by comparing the source's keys with those of the lake, in one snapshot."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import quoted

_NO_CURSOR = "-"
_ENTRY = "struct<seq: bigint, op: string, cursor: string>"


@dataclass(frozen=True)
class KeyDifference:
    """Keys of one table. `deleted`: in the lake and gone from the source; `missed`: in the source and never read so.

    Both are frames of the key columns over one cached comparison; `release` frees it.
    """

    compared: DataFrame
    keys: tuple[str, ...]
    deleted_rows: int
    missed_rows: int

    @property
    def deleted(self) -> DataFrame:
        return self.compared.where("_etl_deleted").select(*(_column(key) for key in self.keys))

    @property
    def missed(self) -> DataFrame:
        return self.compared.where("_etl_missed").select(*(_column(key) for key in self.keys))

    def release(self) -> None:
        self.compared.unpersist()


def compare_keys(table: Table, *, source: DataFrame, read: DataFrame) -> KeyDifference:
    """`source`: key columns and cursor of every row in the snapshot. `read`: the same of every row ever read, this run's
    included, with `_etl_seq` and `_etl_op`: the newest entry of a key says what the lake has, or is about to have.

    A key is missed when it is shown with another cursor than it was last read with, or after it was deleted. Keys are
    compared as the source has them, before casts. One shuffle compares both sides. Raises EtlError when the source has
    no keys while the lake has, or when more is gone than `max_deleted_percent` allows.
    """
    keys = tuple(table.primary_key)
    cursor = F.coalesce(_column(table.cursor.column).cast("string"), F.lit("")) if table.cursor else F.lit(_NO_CURSOR)
    names = [_column(key) for key in keys]
    entry = F.struct(F.col("_etl_seq").alias("seq"), F.col("_etl_op").alias("op"), cursor.alias("cursor"))
    parts = source.select(*names, cursor.alias("shown"), F.lit(None).cast(_ENTRY).alias("entry"))
    parts = parts.unionByName(read.select(*names, F.lit(None).cast("string").alias("shown"), entry.alias("entry")))
    by_key = parts.groupBy(*names).agg(F.max("shown").alias("_etl_shown"), F.max("entry").alias("_etl_newest"))
    in_source = F.col("_etl_shown").isNotNull()
    in_lake = F.coalesce(F.col("_etl_newest.op") == "U", F.lit(False))
    same = F.coalesce(F.col("_etl_newest.cursor") == F.col("_etl_shown"), F.lit(False))
    compared = by_key.select(
        *names,
        in_source.alias("_etl_source"),
        in_lake.alias("_etl_lake"),
        (~in_source & in_lake).alias("_etl_deleted"),
        (in_source & ~(in_lake & same)).alias("_etl_missed"),
    ).cache()
    flags = ("source", "lake", "deleted", "missed")
    [counts] = compared.agg(*(F.count(F.when(F.col(f"_etl_{flag}"), 1)).alias(flag) for flag in flags)).collect()
    difference = KeyDifference(compared, keys, deleted_rows=counts["deleted"], missed_rows=counts["missed"])
    _believe(table, source_rows=counts["source"], lake_rows=counts["lake"], deleted_rows=counts["deleted"])
    return difference


def _believe(table: Table, *, source_rows: int, lake_rows: int, deleted_rows: int) -> None:
    if not deleted_rows:
        return
    if source_rows == 0:
        raise EtlError(
            where=f"table {table.name} deletes",
            what=f"the source has no rows at all, and the lake has {lake_rows}",
            way_out="If that is meant, empty the table by hand or load it under another name; otherwise look at the source",
        )
    percent = 100 * deleted_rows / lake_rows
    if percent > table.max_deleted_percent:
        raise EtlError(
            where=f"table {table.name} deletes",
            what=f"{deleted_rows} of {lake_rows} rows ({percent:.1f} %) are gone from the source, "
            f"more than max_deleted_percent ({table.max_deleted_percent:g})",
            way_out="If that is meant, raise max_deleted_percent for one run; otherwise look at the source",
        )


def _column(name: str) -> Column:
    return F.col(quoted(name))


def source_text(name: str, spark_type: str) -> Column:
    """A key's value as PostgreSQL's ::text writes it, to fetch rows by key."""
    column = _column(name)
    text = column.cast("string")
    if spark_type == "timestamp":
        return F.concat(text, F.lit("+00"))
    if spark_type == "binary":
        return F.concat(F.lit("\\x"), F.lower(F.hex(column)))
    return text
