"""Working tables of the staging layer: overwritten by each run, read by its later stages."""

from collections.abc import Mapping

from pyspark.sql import DataFrame

from etl_runtime.iceberg import TABLE_PROPERTIES, Lake, full_name


def replace_working_table(lake: Lake, table: str, frame: DataFrame, state: Mapping[str, str] | None = None) -> int:
    """The table holds exactly the frame's rows afterwards, with `state` set in the same commit; returns how many."""
    writer = frame.writeTo(full_name(table)).using("iceberg")
    former = {key: "" for key in (lake.properties(table) or {}) if key.startswith("etl.")}
    for key, value in {**TABLE_PROPERTIES, **former, **(state or {})}.items():
        writer = writer.tableProperty(key, value)
    writer.createOrReplace()
    return rows_of(lake, table)


def rows_of(lake: Lake, table: str, ref: str = "main") -> int:
    """Rows of a snapshot without delete files, from Iceberg's own metadata."""
    return sum(file.rows for file in lake.files(table, ref)[0])
