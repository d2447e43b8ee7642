"""One slice of a table: COPY to CSV, CSV to Arrow in C++, Arrow to Parquet, Parquet to S3. Runs in a Spark executor."""

import hashlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from etl_model.environment import PostgreSQLConnection
from etl_runtime.errors import EtlError
from etl_runtime.parquet_files import ParquetFiles, Target
from etl_runtime.postgresql.connect import connected
from etl_runtime.postgresql.types import SourceColumn
from etl_runtime.row_hash import row_hashes

BLOCK_BYTES = 8 << 20
LARGEST_BLOCK_BYTES = 1 << 30


@dataclass(frozen=True)
class Slice:
    """What to read, under which snapshot, and where to put it. `number` makes row ids unique within a seq."""

    table: str
    number: int
    query: str
    parameters: tuple[Any, ...]
    columns: tuple[SourceColumn, ...]
    cursor_column: str | None
    connection_name: str
    connection: PostgreSQLConnection
    region: str
    snapshot: str
    target: Target


@dataclass(frozen=True)
class SliceResult:
    """source_rows is the database's own count (the COPY command tag); digest is of the bytes that it sent."""

    table: str
    number: int
    source_rows: int
    unchanged_rows: int
    files: tuple[tuple[str, int], ...]
    largest_cursor: str | None
    digest: str


class _Feeder:
    """COPY into a pipe on a thread of its own; whatever stops it reaches the reader through `finish`."""

    def __init__(self, part: Slice, write_end: int) -> None:
        self.rows = -1
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(part, write_end), daemon=True)
        self._thread.start()

    def _run(self, part: Slice, write_end: int) -> None:
        try:
            with (
                os.fdopen(write_end, "wb", 1 << 20) as out,
                connected(part.connection_name, part.connection, region=part.region) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("set transaction isolation level repeatable read read only")
                cursor.execute("set transaction snapshot %s", (part.snapshot,))
                query = cursor.mogrify(part.query, part.parameters).decode() if part.parameters else part.query
                cursor.copy_expert(f"copy ({query}) to stdout (format csv)", out)
                self.rows = cursor.rowcount
        except BaseException as error:  # re-raised by finish()
            self.error = error

    def finish(self) -> int:
        self._thread.join()
        if self.error is not None and not isinstance(self.error, BrokenPipeError):
            raise self.error
        return self.rows


class _Digesting(io.RawIOBase):
    """The pipe's read end, hashing what passes: two reads with equal digests brought the same rows."""

    def __init__(self, read_end: int) -> None:
        self._file = os.fdopen(read_end, "rb", 1 << 20)
        self.digest = hashlib.blake2b(digest_size=16)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block

    def close(self) -> None:
        self._file.close()
        super().close()


def copy_slice(part: Slice, known: Callable[[], pa.FixedSizeBinaryArray] | None = None) -> SliceResult:
    """Reads the slice and uploads its Parquet files; rows whose hash is in `known()` are counted, not written.

    Raises EtlError when a value does not fit its type, when the connection breaks, or when fewer rows arrive than were sent.
    """
    block = BLOCK_BYTES
    while True:
        try:
            return _copy(part, known() if known else None, block)
        except pa.ArrowInvalid as error:
            # A row larger than a block cannot be parsed; larger blocks cost memory, so they are tried only then.
            if "straddling" in str(error) and block < LARGEST_BLOCK_BYTES:
                block *= 8
                continue
            raise _does_not_fit(part, error) from error
        except psycopg2.Error as error:
            message = (error.diag.message_primary if error.diag else None) or str(error).strip().splitlines()[0]
            raise EtlError(
                where=f"table {part.table}",
                what=f"the database stopped sending: {message}",
                way_out="Nothing was committed; run the pipeline again",
            ) from error


def _copy(part: Slice, known: pa.FixedSizeBinaryArray | None, block: int) -> SliceResult:
    read_end, write_end = os.pipe()
    source = _Digesting(read_end)
    feeder = _Feeder(part, write_end)
    parsed = unchanged = 0
    largest: Any = None
    try:
        with ParquetFiles(part.target, part.number) as files:
            for batch in _batches(source, part.columns, block):
                parsed += batch.num_rows
                if part.cursor_column is not None:
                    top = pc.max(batch.column(part.cursor_column)).as_py()
                    largest = top if largest is None or (top is not None and top > largest) else largest
                if known is not None:
                    fresh = pc.invert(pc.is_in(row_hashes(batch), value_set=known))
                    kept = batch.filter(fresh)
                    unchanged += batch.num_rows - kept.num_rows
                    batch = kept
                files.write(batch)
    finally:
        source.close()
        # Waits, and raises what stopped the feeder: a parse error of a cut stream is only its echo.
        sent = feeder.finish()
    if sent != parsed:
        raise EtlError(
            where=f"table {part.table} slice {part.number}",
            what=f"the database sent {sent} rows and {parsed} arrived",
            way_out="Nothing was committed; run the pipeline again",
        )
    return SliceResult(
        table=part.table,
        number=part.number,
        source_rows=sent,
        unchanged_rows=unchanged,
        files=tuple(files.written),
        largest_cursor=None if largest is None else str(largest),
        digest=source.digest.hexdigest(),
    )


def _batches(source: _Digesting, columns: tuple[SourceColumn, ...], block: int) -> Iterator[pa.RecordBatch]:
    """Typed batches; a CSV without rows has none."""
    names = [column.name for column in columns]
    types = {column.name: column.parsed for column in columns}
    schema = pa.schema([(column.name, column.arrow) for column in columns])
    try:
        reader = csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=csv.ReadOptions(column_names=names, block_size=block, use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=types,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                timestamp_parsers=[csv.ISO8601, "%Y-%m-%d %H:%M:%S%z"],
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return
        raise
    decoded = [i for i, column in enumerate(columns) if column.decoding == "bytea"]
    for batch in reader:
        if not decoded:
            yield batch
            continue
        arrays = list(batch.columns)
        for i in decoded:
            # COPY shows bytea as \x and hexadecimal digits.
            values = [None if text is None else bytes.fromhex(text[2:]) for text in arrays[i].to_pylist()]
            arrays[i] = pa.array(values, type=pa.binary())
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _does_not_fit(part: Slice, error: pa.ArrowInvalid) -> EtlError:
    text = str(error)
    match = re.search(
        r"CSV column #(\d+):(?: Row #(\d+):)? CSV conversion error to ([^:]+): invalid value '(.*)'", text, re.S
    )
    if not match:
        return EtlError(
            where=f"table {part.table}",
            what=f"its rows cannot be read: {text[:300]}",
            way_out="Exclude them by source.query",
        )
    column = part.columns[int(match[1])]
    key = _row_id(part, column.name, match[4])
    return EtlError(
        where=f"table {part.table} column {column.name}{key}",
        what=f"the value {match[4][:100]!r} does not fit {column.spark}",
        way_out=f"Correct it in the source, or declare it as text (casts: {{{column.name}: string}})",
    )


def _row_id(part: Slice, column: str, value: str) -> str:
    """` row …` with what the source shows of the row (its ctid or first columns), where it can still be asked."""
    first = part.columns[0].name
    try:
        with (
            connected(part.connection_name, part.connection, region=part.region) as connection,
            connection.cursor() as cursor,
        ):
            inner = cursor.mogrify(part.query, part.parameters).decode() if part.parameters else part.query
            name, identity = column.replace('"', '""'), first.replace('"', '""')
            cursor.execute(
                f'select s."{identity}"::text from ({inner}) as s where s."{name}"::text = %s limit 1', (value,)
            )
            found = cursor.fetchone()
    except (psycopg2.Error, EtlError):
        return ""
    return f" row {first}={found[0]}" if found else ""
