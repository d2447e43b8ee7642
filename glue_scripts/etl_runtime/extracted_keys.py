"""The key comparison of one table during Extract: reads the key set, writes tombstones, fetches missed rows."""

from dataclasses import dataclass
from typing import Any

import boto3
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_runtime.errors import EtlError
from etl_runtime.iceberg import DataFile, Lake, full_name, quoted
from etl_runtime.key_comparison import compare_keys, source_text
from etl_runtime.listed_files import read_files, write_files
from etl_runtime.parquet_files import Target
from etl_runtime.postgresql.discover import SourceTable, quote
from etl_runtime.raw_table import struct_of

# More missed keys than this are cheaper to get by reading the table again.
MOST_FETCHED_KEYS = 50_000


@dataclass(frozen=True)
class KeyFindings:
    """`tombstones`: files of delete rows. `missed`: keys as the source's text, to be fetched; None: too many, read all."""

    tombstones: list[DataFile]
    deleted_rows: int
    missed: list[tuple[str | None, ...]] | None


def compare_with_lake(
    lake: Lake,
    source: SourceTable,
    *,
    raw: str,
    key_files: list[DataFile],
    read: list[DataFile],
    target: Target,
    first_number: int,
    region: str,
) -> KeyFindings:
    """`read` are the files of rows that this run has read already; `target` is the raw table's."""
    table, spark = source.table, lake.spark
    keys = list(table.primary_key)
    compared = list(dict.fromkeys([*keys, *([table.cursor.column] if table.cursor else [])]))
    schema = struct_of(lake, [(name, source.column(name).spark) for name in compared])
    source_keys = read_files(spark, key_files, schema, region=region)
    columns = [quoted(name) for name in compared]
    fresh = read_files(spark, read, schema, region=region)
    fresh = fresh.select(*columns, F.lit(target.seq).alias("_etl_seq"), F.lit("U").alias("_etl_op"))
    before = spark.table(full_name(raw)).select(*columns, "_etl_seq", "_etl_op")
    difference = compare_keys(table, source=source_keys, read=before.unionByName(fresh))
    try:
        tombstones: list[DataFile] = []
        if difference.deleted_rows:
            deletes = Target(
                prefix=target.prefix,
                region=region,
                columns=tuple((name, source.column(name).arrow) for name in keys),
                field_ids=target.field_ids,
                seq=target.seq,
                op="D",
            )
            tombstones = write_files(difference.deleted.coalesce(1), deletes, first_number=first_number)
            written = sum(file.rows for file in tombstones)
            if written != difference.deleted_rows:
                raise EtlError(
                    where=f"table {table.name} deletes",
                    what=f"{difference.deleted_rows} keys are gone and {written} were written",
                    way_out="Nothing was committed; run the pipeline again",
                )
        missed: list[tuple[str | None, ...]] | None = []
        if difference.missed_rows > MOST_FETCHED_KEYS:
            missed = None
        elif difference.missed_rows:
            texts = [source_text(name, source.column(name).spark).alias(f"k{i}") for i, name in enumerate(keys)]
            missed = [tuple(row) for row in difference.missed.select(*texts).collect()]
    finally:
        difference.release()
    return KeyFindings(tombstones=tombstones, deleted_rows=difference.deleted_rows, missed=missed)


def fetch_condition(source: SourceTable, missed: list[tuple[str | None, ...]]) -> tuple[str, tuple[Any, ...]]:
    """A WHERE condition for the rows with the given keys."""
    keys = source.table.primary_key
    left = ", ".join(f"{quote(key)}::text" for key in keys).replace("%", "%%")
    arrays = ", ".join("%s::text[]" for _ in keys)
    return f"({left}) in (select * from unnest({arrays}))", tuple(
        [list(column) for column in zip(*missed, strict=True)]
    )


def delete_objects(files: list[DataFile], *, region: str) -> None:
    """Removes files that no commit will list."""
    s3 = boto3.client("s3", region_name=region)
    by_bucket: dict[str, list[str]] = {}
    for file in files:
        bucket, _, key = file.path.removeprefix("s3://").partition("/")
        by_bucket.setdefault(bucket, []).append(key)
    for bucket, names in by_bucket.items():
        for start in range(0, len(names), 1000):
            s3.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in names[start : start + 1000]], "Quiet": True}
            )
