"""What the Load job hands to the warehouse, and what it gets back."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from etl_runtime.errors import EtlError
from etl_runtime.warehouse.identifiers import warehouse_name

OP_COLUMN = "_etl_op"

_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_SNOWFLAKE_TYPES = {
    "boolean": "BOOLEAN",
    "int": "NUMBER(38,0)",
    "bigint": "NUMBER(38,0)",
    "float": "FLOAT",
    "double": "FLOAT",
    "string": "VARCHAR",
    "binary": "BINARY",
    "date": "DATE",
    "timestamp": "TIMESTAMP_TZ",
    "timestamp_ntz": "TIMESTAMP_NTZ",
}


@dataclass(frozen=True)
class WarehouseColumn:
    """A column of the lake. `type` is Spark's simple string: boolean, int, bigint, float, double, decimal(p,s), string,
    binary, date, timestamp (an instant) or timestamp_ntz (a wall clock). ValueError for any other."""

    name: str
    type: str

    def __post_init__(self) -> None:
        if self.type not in _SNOWFLAKE_TYPES and self.decimal is None:
            raise ValueError(
                f"column {self.name}: type {self.type} has no place in the warehouse; supported: "
                f"{', '.join(_SNOWFLAKE_TYPES)}, decimal(p,s). Cast it in the pipeline file"
            )

    @property
    def decimal(self) -> tuple[int, int] | None:
        """(precision, scale) of a decimal, else None."""
        match = _DECIMAL.fullmatch(self.type)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def snowflake_type(self) -> str:
        """Exact for every value of the lake's type. Integers share one type, so that int to bigint changes nothing."""
        if self.decimal:
            return "NUMBER({},{})".format(*self.decimal)
        return _SNOWFLAKE_TYPES[self.type]

    @property
    def declaration(self) -> str:
        """`snowflake_type` in CREATE and ALTER TABLE: to Snowflake, NUMBER(38) and BIGINT are NUMBER(38,0)."""
        if self.decimal and self.decimal[1] == 0:
            return f"NUMBER({self.decimal[0]})"
        return "BIGINT" if self.type in ("int", "bigint") else self.snowflake_type


@dataclass(frozen=True)
class WarehouseTable:
    """A published lake table. Without a `key` it can be replaced and appended to, not merged."""

    name: str
    columns: tuple[WarehouseColumn, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError(f"table {self.name} has no columns")
        twice = [name for name, n in Counter(warehouse_name(c.name).upper() for c in self.columns).items() if n > 1]
        if twice:
            raise ValueError(f"table {self.name}: columns {', '.join(twice)} differ in case only")
        if missing := [name for name in self.key if name not in {column.name for column in self.columns}]:
            raise ValueError(f"table {self.name}: key {', '.join(missing)} is not among its columns")


@dataclass(frozen=True)
class ChangeSet:
    """Parquet files. `full`: the whole table; `append`: new rows; `delta`: one row per key with `_etl_op` I, U or D.

    `rows` counts the rows of `files` (s3:// URLs). After applying, the warehouse stands at `seq`; a delta or an append
    fits only a warehouse that stands at `after_seq`.
    """

    kind: Literal["full", "delta", "append"]
    files: tuple[str, ...]
    rows: int
    seq: int
    after_seq: int


@dataclass(frozen=True)
class AppliedCounts:
    """Rows of the warehouse table that one change set inserted, updated and deleted, and how many there are since."""

    inserted: int
    updated: int
    deleted: int
    rows_after: int


@dataclass(frozen=True)
class Fingerprint:
    """How many rows, and the sum of their 60-bit hashes: equal on both sides means equal values (fingerprint.py)."""

    rows: int
    checksum: int


class OutOfSequence(EtlError):  # noqa: N818  # it names the state, as OutOfMemory does
    """The change set does not follow what the warehouse holds: apply a `full` one of the published table."""


class WarehouseAhead(EtlError):  # noqa: N818
    """The warehouse holds a later seq than the lake offers: the lake was rolled back or made anew."""


class RowsDiffer(EtlError):  # noqa: N818
    """Snowflake read other rows than the change set declares. Nothing was changed."""


class SchemaConflict(EtlError):  # noqa: N818
    """The warehouse table has a column whose type cannot become the lake's by widening."""
