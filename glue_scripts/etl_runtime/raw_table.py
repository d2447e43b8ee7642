"""The raw table of a source: created from what is discovered, grown with it, never shrunk."""

import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql.types import StructType

from etl_model.pipeline import Table
from etl_runtime.errors import EtlError, one_or_many
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.postgresql.types import SourceColumn

META_COLUMNS = (("_etl_seq", "bigint"), ("_etl_row", "bigint"), ("_etl_op", "string"))
_WIDENINGS = {("int", "bigint"), ("float", "double")}


def struct_of(lake: Lake, columns: Sequence[tuple[str, str]]) -> StructType:
    """The Spark schema of (name, type) pairs, every column nullable."""
    ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
    jvm: Any = lake.spark._jvm
    return StructType.fromJson(json.loads(jvm.org.apache.spark.sql.types.StructType.fromDDL(ddl).json()))


def prepare_raw_table(lake: Lake, name: str, table: Table, columns: Sequence[SourceColumn], *, location: str) -> None:
    """Creates the table, or adds the source's new columns to it and widens those that have grown.

    EtlError for a column that the source has dropped or retyped, or has added under schema_drift: freeze.
    """
    wanted = {column.name: column.spark for column in columns}
    if lake.load(name) is None:
        lake.create(name, struct_of(lake, [*wanted.items(), *META_COLUMNS]), location=location)
        return
    present = {column: kind for column, kind in lake.columns(name) if not column.startswith("_etl_")}
    added = [column for column in wanted if column not in present]
    where, errors = f"table {table.name}", []
    dropped = [column for column in present if column not in wanted]
    if dropped:
        errors.append(
            EtlError(
                where=where,
                what=f"the source has no column {', '.join(dropped)} any more, and the lake has it",
                way_out="Give it back by source.query (… null as column), or move to a table of another name",
            )
        )
    if added and table.schema_drift == "freeze":
        errors.append(
            EtlError(
                where=where,
                what=f"the source has new columns {', '.join(added)}, and schema_drift is freeze",
                way_out="Set schema_drift: evolve, or leave the columns out by source.query",
            )
        )
    widened = []
    for column, kind in wanted.items():
        before = present.get(column, kind)
        if before == kind:
            continue
        if table.schema_drift == "evolve" and _widens(before, kind):
            widened.append((column, kind))
        else:
            errors.append(
                EtlError(
                    where=f"{where} column {column}",
                    what=f"the source's type is now read as {kind}, and the lake has {before}",
                    way_out="Cast it back by source.query, or move to a table of another name",
                )
            )
    if errors:
        raise one_or_many(errors)
    for column, kind in widened:
        lake.spark.sql(f"ALTER TABLE {full_name(name)} ALTER COLUMN {quoted(column)} TYPE {kind}")
    lake.add_columns(name, [(column, wanted[column]) for column in added])


def _widens(before: str, after: str) -> bool:
    if (before, after) in _WIDENINGS:
        return True
    if before.startswith("decimal(") and after.startswith("decimal("):
        (p0, s0), (p1, s1) = (tuple(int(part) for part in kind[8:-1].split(",")) for kind in (before, after))
        return s0 == s1 and p1 > p0
    return False
