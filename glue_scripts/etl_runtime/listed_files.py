"""Spark DataFrames from and to listed Parquet files in S3, by Arrow in the executors: no directory listing, no commit."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from etl_runtime.iceberg import DataFile
from etl_runtime.parquet_files import ParquetFiles, Target


def read_files(spark: SparkSession, files: Sequence[DataFile], schema: StructType, *, region: str) -> DataFrame:
    """The columns of `schema` from the listed files, one task per file."""
    if not files:
        return spark.createDataFrame([], schema)
    names = schema.fieldNames()

    def batches(inputs: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        s3 = boto3.client("s3", region_name=region)
        for batch in inputs:
            for url in batch.column(0).to_pylist():
                bucket, _, key = url.removeprefix("s3://").partition("/")
                with tempfile.TemporaryDirectory(prefix="etl-") as folder:
                    path = os.path.join(folder, "part.parquet")
                    s3.download_file(bucket, key, path)
                    for part in pq.ParquetFile(path).iter_batches(batch_size=65536, columns=names):
                        yield pa.RecordBatch.from_arrays(part.columns, names=names)

    paths = spark.createDataFrame([(file.path,) for file in files], "path string").repartition(len(files))
    return paths.mapInArrow(batches, schema)


def write_files(frame: DataFrame, target: Target, *, first_number: int) -> list[DataFile]:
    """The frame's rows (exactly the target's columns, in order) as uploaded files; partition i has number first_number + i."""

    def written(index: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema(list(target.columns))
        with ParquetFiles(target, first_number + index) as files:
            for batch in batches:
                files.write(
                    pa.RecordBatch.from_arrays(
                        [c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)], schema=schema
                    )
                )
        yield pa.RecordBatch.from_pydict(
            {
                "path": [path for path, _ in files.written],
                "rows": pa.array([rows for _, rows in files.written], pa.int64()),
            }
        )

    def with_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        yield from written(context.partitionId() if context else 0, batches)

    # By place: a name with a dot or a backtick would be taken for another column.
    named = frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))
    found = named.mapInArrow(with_partition, "path string, rows bigint").collect()
    return [DataFile(path=row.path, rows=row.rows) for row in found]
