"""PostgreSQL types as they travel: the Spark type of the raw column, the Arrow type, and how COPY's text is read."""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

# Type OIDs of pg_type.dat; they are fixed for built-in types.
_BOOL, _BYTEA, _INT8, _INT2, _INT4, _TEXT, _OID, _FLOAT4, _FLOAT8 = 16, 17, 20, 21, 23, 25, 26, 700, 701
_DATE, _TIMESTAMP, _TIMESTAMPTZ, _NUMERIC = 1082, 1114, 1184, 1700
MAX_PRECISION = 38

Decoding = Literal["plain", "bytea"]


@dataclass(frozen=True)
class SourceColumn:
    """One column of a source: `parsed` is what the CSV reader makes of COPY's text, `arrow` what is written."""

    name: str
    spark: str
    arrow: pa.DataType
    parsed: pa.DataType
    decoding: Decoding = "plain"


_PLAIN: dict[int, tuple[str, pa.DataType]] = {
    _BOOL: ("boolean", pa.bool_()),
    _INT2: ("int", pa.int32()),
    _INT4: ("int", pa.int32()),
    _INT8: ("bigint", pa.int64()),
    _OID: ("bigint", pa.int64()),
    _FLOAT4: ("float", pa.float32()),
    _FLOAT8: ("double", pa.float64()),
    _DATE: ("date", pa.date32()),
    _TIMESTAMP: ("timestamp_ntz", pa.timestamp("us")),
    _TIMESTAMPTZ: ("timestamp", pa.timestamp("us", tz="UTC")),
}


def source_column(description: Any, *, as_text: bool) -> SourceColumn:
    """From a column of a cursor's description. What has no exact counterpart travels as text, as PostgreSQL writes it:
    numeric without precision, uuid, json, arrays, time, interval, enums, network types and all others; so does any
    column that the pipeline file casts to string (`as_text`), which lets infinity and BC dates through."""
    name, oid = description.name, description.type_code
    text = SourceColumn(name=name, spark="string", arrow=pa.string(), parsed=pa.string())
    if as_text:
        return text
    if oid == _BYTEA:
        return SourceColumn(name=name, spark="binary", arrow=pa.binary(), parsed=pa.string(), decoding="bytea")
    if oid == _NUMERIC:
        precision, scale = description.precision, description.scale
        # Without precision psycopg2 shows 65535; a negative scale is 2048 wide two's complement of 11 bits.
        if precision is None or scale is None or not 0 < precision <= MAX_PRECISION or not 0 <= scale <= precision:
            return text
        return _column(name, f"decimal({precision},{scale})", pa.decimal128(precision, scale))
    if oid in _PLAIN:
        return _column(name, *_PLAIN[oid])
    return text


def _column(name: str, spark: str, arrow: pa.DataType) -> SourceColumn:
    return SourceColumn(name=name, spark=spark, arrow=arrow, parsed=arrow)


CURSOR_TYPES = ("int", "bigint", "date", "timestamp", "timestamp_ntz")
