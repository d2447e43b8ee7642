"""The rows that an incremental read will meet again: those of the raw table inside the cursor's lag."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import or_

import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.row_hash import row_hashes


def known_hashes(lake: Lake, raw: str, table: Table, columns: Sequence[tuple[str, pa.DataType]], bound: str) -> bytes:
    """16-byte hashes, one after another, of the newest version of each key whose cursor is at or after `bound` (a SQL
    condition on the raw table). A row that comes again with the same hash has not changed."""
    frame = lake.spark.table(full_name(raw)).where(bound)
    keys = [F.col(quoted(key)) for key in table.primary_key]
    newest = Window.partitionBy(*keys).orderBy(F.col("_etl_seq").desc())
    keyless = reduce(or_, (key.isNull() for key in keys))
    # Rows that share a key, or lack it, wait in quarantine: all of them are known.
    ranked = frame.withColumn("_etl_rank", F.rank().over(newest))
    latest = ranked.where((F.col("_etl_rank") == 1) | keyless).where("_etl_op = 'U'")
    schema = pa.schema(list(columns))

    def hashed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=True)]
            hashes = row_hashes(pa.RecordBatch.from_arrays(arrays, schema=schema))
            # One value per batch: collecting a million small values would cost the driver far more.
            yield pa.RecordBatch.from_pydict({"hashes": pa.array([hashes.buffers()[1].to_pybytes()], pa.binary())})

    # By place: what Arrow's mapping makes of a name with a dot or a backtick is another column.
    chosen = latest.select(*(F.col(quoted(name)).alias(f"c{i}") for i, (name, _) in enumerate(columns)))
    return b"".join(bytes(row.hashes) for row in chosen.mapInArrow(hashed, "hashes binary").collect())
