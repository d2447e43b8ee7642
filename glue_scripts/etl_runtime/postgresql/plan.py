"""Which slices a table is read in, and the SQL of each."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from etl_model.pipeline import Cursor
from etl_runtime.postgresql.discover import Relation, SourceTable, quote

# About 128 MB of table to a slice: many enough to keep workers busy, few enough to keep files large.
PAGES_PER_SLICE = 16384
MOST_AUTOMATIC_SLICES = 16
_SQL_TYPES = {
    "int": "bigint",
    "bigint": "bigint",
    "date": "date",
    "timestamp": "timestamptz",
    "timestamp_ntz": "timestamp",
}


@dataclass(frozen=True)
class SliceQuery:
    """A SELECT and its parameters; `pages` is a measure of its size."""

    sql: str
    parameters: tuple[Any, ...]
    pages: int


def cursor_condition(source: SourceTable, cursor: Cursor, watermark: str) -> tuple[str, tuple[Any, ...]]:
    """Rows at or after the watermark less the lag, and those without a cursor value, which no watermark passes."""
    kind = source.column(cursor.column).spark
    column, bound = quote(cursor.column).replace("%", "%%"), f"%s::{_SQL_TYPES[kind]}"
    parameters: tuple[Any, ...] = (watermark,)
    if kind in ("int", "bigint"):
        lag = cursor.lag if isinstance(cursor.lag, int) else 0
        return f"({column} >= {bound} - %s or {column} is null)", (int(watermark), lag)
    lag_time = cursor.lag if isinstance(cursor.lag, timedelta) else timedelta(seconds=cursor.lag)
    if kind == "date":
        days = math.ceil(lag_time / timedelta(days=1))
        return f"({column} >= {bound} - %s::int or {column} is null)", (watermark, days)
    if lag_time:
        return f"({column} >= {bound} - %s::interval or {column} is null)", (
            watermark,
            f"{int(lag_time.total_seconds())} seconds",
        )
    return f"({column} >= {bound} or {column} is null)", parameters


def slice_queries(
    source: SourceTable, columns: tuple[str, ...], condition: tuple[str, tuple[Any, ...]] | None
) -> list[SliceQuery]:
    """The slices of a table. A condition is left whole, so that the database can use an index for it."""
    names = ", ".join(quote(column) for column in columns)
    queries = []
    for relation in source.relations:
        base = f"select {names} from {relation.sql}"
        if condition is not None:
            # The driver takes % for a parameter as soon as there are any.
            text = base.replace("%", "%%")
            queries.append(
                SliceQuery(sql=f"{text} where {condition[0]}", parameters=condition[1], pages=relation.pages or 0)
            )
            continue
        for where in _physical_ranges(relation, source.table.slices):
            queries.append(SliceQuery(sql=f"{base}{where}", parameters=(), pages=relation.pages or 0))
    return queries


def _physical_ranges(relation: Relation, wanted: int | None) -> list[str]:
    """WHERE clauses over ctid that cover the relation; the last is open-ended, since a table may have grown."""
    if relation.pages is None:
        return [""]
    count = wanted or min(MOST_AUTOMATIC_SLICES, max(1, relation.pages // PAGES_PER_SLICE))
    count = max(1, min(count, relation.pages))
    if count == 1:
        return [""]
    edges = [relation.pages * i // count for i in range(count)]
    clauses = []
    for i, start in enumerate(edges):
        clause = f" where ctid >= '({start},0)'::tid"
        if i + 1 < count:
            clause += f" and ctid < '({edges[i + 1]},0)'::tid"
        clauses.append(clause)
    return clauses
