"""Parquet files of an Iceberg table, written locally and uploaded: the listed paths are what a commit takes."""

import os
import tempfile
import uuid
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 64 << 20
FILE_ROW_GROUPS = 8
# A row's id within its seq: number of the slice, then position in it.
POSITION_BITS = 40


@dataclass(frozen=True)
class Target:
    """Where rows of one table and seq go. `columns` are the data columns, `field_ids` those of the table by name."""

    prefix: str
    region: str
    columns: tuple[tuple[str, pa.DataType], ...]
    field_ids: dict[str, int]
    seq: int
    op: str | None = "U"

    def schema(self) -> pa.Schema:
        meta = [("_etl_seq", pa.int64()), ("_etl_row", pa.int64()), ("_etl_op", pa.string())] if self.op else []
        return pa.schema(
            [
                pa.field(name, kind, metadata={b"PARQUET:field_id": str(self.field_ids[name]).encode()})
                for name, kind in (*self.columns, *meta)
            ]
        )


class ParquetFiles:
    """Writes batches as row groups of about 64 MB, eight to a file, and uploads each file when it is complete."""

    def __init__(self, target: Target, number: int) -> None:
        self.written: list[tuple[str, int]] = []
        self._target, self._number = target, number
        self._schema = target.schema()
        self._buffer: list[pa.RecordBatch] = []
        self._buffered = self._position = self._groups = self._rows = 0
        self._folder = tempfile.TemporaryDirectory(prefix="etl-")
        self._writer: pq.ParquetWriter | None = None
        self._path = ""

    def __enter__(self) -> "ParquetFiles":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._complete()
        finally:
            if self._writer is not None:
                self._writer.close()
            self._folder.cleanup()

    def write(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if self._target.op:
            start = (self._number << POSITION_BITS) + self._position
            rows = pa.array(np.arange(start, start + batch.num_rows, dtype=np.int64))
            seq = pa.array(np.full(batch.num_rows, self._target.seq, dtype=np.int64))
            op = pa.repeat(pa.scalar(self._target.op), batch.num_rows)
            arrays = [*batch.columns, seq, rows, op]
        else:
            arrays = batch.columns
        self._position += batch.num_rows
        self._buffer.append(pa.RecordBatch.from_arrays(list(arrays), schema=self._schema))
        self._buffered += batch.nbytes
        if self._buffered >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._buffer:
            return
        table = pa.Table.from_batches(self._buffer)
        if self._writer is None:
            self._path = os.path.join(self._folder.name, f"{uuid.uuid4().hex}.parquet")
            self._writer = pq.ParquetWriter(
                self._path, self._schema, compression="zstd", compression_level=1, store_decimal_as_integer=True
            )
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._rows += table.num_rows
        self._groups += 1
        self._buffer, self._buffered = [], 0
        if self._groups == FILE_ROW_GROUPS:
            self._complete()

    def _complete(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        bucket, _, prefix = self._target.prefix.removeprefix("s3://").partition("/")
        key = f"{prefix}/{self._target.seq:010d}-{self._number:05d}-{os.path.basename(self._path)}"
        _client(self._target.region).upload_file(self._path, bucket, key)
        os.unlink(self._path)
        self.written.append((f"s3://{bucket}/{key}", self._rows))
        self._rows = self._groups = 0


_CLIENTS: dict[str, Any] = {}


def _client(region: str) -> Any:
    if region not in _CLIENTS:
        _CLIENTS[region] = boto3.client("s3", region_name=region)
    return _CLIENTS[region]
