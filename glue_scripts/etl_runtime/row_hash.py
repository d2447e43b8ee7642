"""A 128-bit hash of a row's values, equal for equal rows: tells a row read again from one that changed."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

WIDTH = 16


def row_hashes(batch: pa.RecordBatch) -> pa.FixedSizeBinaryArray:
    """One BLAKE2b-128 per row over all columns in order; NULL and '' differ, and no two columns run together."""
    parts = [_canonical(column) for column in batch.columns]
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary())).to_pylist()
    digests = b"".join(hashlib.blake2b(row, digest_size=WIDTH).digest() for row in joined)
    return hashes_from_bytes(digests)


def hashes_from_bytes(digests: bytes) -> pa.FixedSizeBinaryArray:
    """The array whose values are the consecutive 16-byte pieces of `digests`."""
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), len(digests) // WIDTH, [None, pa.py_buffer(digests)])


def _canonical(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        column = column.cast(pa.large_string())
    data = column.cast(pa.large_binary())
    length = pc.binary_length(data).cast(pa.large_string()).cast(pa.large_binary())
    marked = pc.binary_join_element_wise(length, data, pa.scalar(b":", pa.large_binary()))
    return pc.fill_null(marked, pa.scalar(b"N", pa.large_binary()))
