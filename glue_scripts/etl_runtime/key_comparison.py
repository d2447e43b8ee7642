"""Hard deletes and missed rows, found by comparing the source's keys with those of the lake, in one snapshot."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.errors import EtlError

_NO_CURSOR = "-"


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


def compare_keys(table: Table, *, source: DataFrame, read: DataFrame, loaded: DataFrame | None) -> KeyDifference:
    """`source`: key columns and cursor of every row in the snapshot. `read`: the same of every row ever read, this run's
    included, and `_etl_pending`: whether it is still to be loaded. `loaded`: key columns of the curated table, if any.

    A key is missed when the source shows it with a cursor with which it was never read. One shuffle compares all three.
    Raises EtlError when the source has no keys while the lake has, or when more is gone than `max_deleted_percent` allows.
    """
    keys = tuple(table.primary_key)
    cursor = F.coalesce(_column(table.cursor.column).cast("string"), F.lit("")) if table.cursor else F.lit(_NO_CURSOR)
    nothing = F.lit(None).cast("string")
    names = [_column(key) for key in keys]
    parts = source.select(*names, cursor.alias("shown"), nothing.alias("known"), F.lit(False).alias("lake"))
    parts = parts.unionByName(
        read.select(*names, nothing.alias("shown"), cursor.alias("known"), F.col("_etl_pending").alias("lake"))
    )
    if loaded is not None:
        parts = parts.unionByName(
            loaded.select(*names, nothing.alias("shown"), nothing.alias("known"), F.lit(True).alias("lake"))
        )
    by_key = parts.groupBy(*names).agg(
        F.max("shown").alias("_etl_shown"), F.collect_set("known").alias("_etl_known"), F.max("lake").alias("_etl_lake")
    )
    in_source = F.col("_etl_shown").isNotNull()
    compared = by_key.select(
        *names,
        in_source.alias("_etl_source"),
        F.col("_etl_lake"),
        (~in_source & F.col("_etl_lake")).alias("_etl_deleted"),
        (in_source & ~F.array_contains("_etl_known", F.col("_etl_shown"))).alias("_etl_missed"),
    ).cache()
    counted = compared.agg(
        *(F.count(F.when(F.col(f"_etl_{name}"), 1)).alias(name) for name in ("source", "lake", "deleted", "missed"))
    )
    [counts] = counted.collect()
    difference = KeyDifference(
        compared=compared, keys=keys, deleted_rows=counts["deleted"], missed_rows=counts["missed"]
    )
    _believe(table, source_rows=counts["source"], lake_rows=counts["lake"], deleted_rows=counts["deleted"])
    return difference


def _believe(table: Table, *, source_rows: int, lake_rows: int, deleted_rows: int) -> None:
    if not deleted_rows:
        return
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


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def source_text(name: str, spark_type: str) -> Column:
    """A key's value as PostgreSQL's ::text writes it, to fetch rows by key."""
    column = _column(name)
    text = column.cast("string")
    if spark_type == "timestamp":
        return F.concat(text, F.lit("+00"))
    if spark_type == "binary":
        return F.concat(F.lit("\\x"), F.lower(F.hex(column)))
    return text
