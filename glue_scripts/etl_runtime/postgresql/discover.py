"""What a table or query of PostgreSQL looks like, seen inside the snapshot that will be read."""

from dataclasses import dataclass
from typing import Any

import psycopg2

from etl_model.pipeline import Table
from etl_runtime.errors import EtlError, one_or_many
from etl_runtime.postgresql.types import CURSOR_TYPES, SourceColumn, source_column


@dataclass(frozen=True)
class Relation:
    """A piece of a table that is read by itself: the table, one leaf of a partitioned one, or a query.

    sql is what stands after FROM; pages is its size in blocks, None where physical ranges cannot be read (views, queries).
    """

    sql: str
    pages: int | None


@dataclass(frozen=True)
class SourceTable:
    """A source as found: columns in order, pieces to read, and whether the database itself guarantees the key."""

    table: Table
    columns: tuple[SourceColumn, ...]
    relations: tuple[Relation, ...]
    key_is_unique: bool

    def column(self, name: str) -> SourceColumn:
        return next(column for column in self.columns if column.name == name)


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str) -> str:
    """schema.table or table as a quoted identifier; names with capitals or dots are given in double quotes."""
    parts: list[str] = []
    rest = name.strip()
    while rest:
        if rest.startswith('"'):
            end = rest.find('"', 1)
            while end != -1 and rest[end + 1 : end + 2] == '"':
                end = rest.find('"', end + 2)
            part, rest = (rest[1:end].replace('""', '"'), rest[end + 1 :]) if end != -1 else (rest[1:], "")
        else:
            part, _, tail = rest.partition(".")
            rest = f".{tail}" if _ else ""
        parts.append(part)
        rest = rest.removeprefix(".")
    return ".".join(quote(part) for part in parts)


def from_clause(table: Table) -> str:
    if table.source.table is not None:
        return qualified(table.source.table)
    return f"({(table.source.query or '').strip().rstrip(';')}\n) as source"


def lockable(cursor: Any, tables: list[Table]) -> list[str]:
    """The FROM clauses to lock. Raises EtlError for every table that the source lacks or does not show to this user."""
    clauses, errors = [], []
    for table in tables:
        if table.source.table is None:
            continue
        clause = from_clause(table)
        cursor.execute("select c.relkind from pg_class c where c.oid = to_regclass(%s)", (clause,))
        kind = cursor.fetchone()
        if kind is None:
            errors.append(
                EtlError(
                    where=f"table {table.name}",
                    what=f"the source has no table {table.source.table}",
                    way_out="Correct source.table (schema.table, names with capitals in double quotes) or grant USAGE on its schema",
                )
            )
        elif kind[0] in ("r", "p"):
            clauses.append(clause)
    if errors:
        raise one_or_many(errors)
    return clauses


def discover(cursor: Any, table: Table) -> SourceTable:
    """Columns and pieces of one source; EtlError names every column that the pipeline file wants and the source lacks."""
    cursor.execute("savepoint before_discovery")
    try:
        cursor.execute(f"select * from {from_clause(table)} limit 0")
    except psycopg2.Error as error:
        cursor.execute("rollback to savepoint before_discovery")
        raise refused(table, error) from error
    columns = tuple(
        source_column(description, as_text=table.casts.get(description.name) == "string")
        for description in cursor.description
    )
    _check_columns(table, columns)
    relations = _relations(cursor, table)
    return SourceTable(
        table=table, columns=columns, relations=relations, key_is_unique=_key_is_unique(cursor, table, len(relations))
    )


def _check_columns(table: Table, columns: tuple[SourceColumn, ...]) -> None:
    where, names = f"table {table.name}", [column.name for column in columns]
    errors = []
    lower = [name.lower() for name in names]
    collisions = sorted({name for name in names if lower.count(name.lower()) > 1})
    if collisions:
        errors.append(
            EtlError(
                where=where,
                what=f"columns {', '.join(collisions)} differ in nothing but case, or are the same",
                way_out="Give them other names by source.query",
            )
        )
    reserved = [name for name in names if name.lower().startswith("_etl_")]
    if reserved:
        errors.append(
            EtlError(
                where=where,
                what=f"column {', '.join(reserved)} has a reserved name",
                way_out="Rename it by source.query",
            )
        )
    for name, key in table.needed_columns.items():
        if name not in names:
            errors.append(
                EtlError(
                    where=f"{where} {key}",
                    what=f"the source has no column {name!r}",
                    way_out=f"Its columns are: {', '.join(names)}",
                )
            )
        elif key == "cursor.column":
            kind = next(column for column in columns if column.name == name).spark
            if kind not in CURSOR_TYPES:
                errors.append(
                    EtlError(
                        where=f"{where} cursor.column",
                        what=f"column {name!r} cannot be a cursor: it is read as {kind}",
                        way_out=f"Use a column that is read as one of: {', '.join(CURSOR_TYPES)}",
                    )
                )
            elif table.cursor and table.cursor.lag and (kind in ("int", "bigint")) != isinstance(table.cursor.lag, int):
                errors.append(
                    EtlError(
                        where=f"{where} cursor.lag",
                        what=f"it does not suit column {name!r}, which is read as {kind}",
                        way_out="Give a number for integers and a duration such as 15m for dates and times",
                    )
                )
    if errors:
        raise one_or_many(errors)


def _relations(cursor: Any, table: Table) -> tuple[Relation, ...]:
    clause = from_clause(table)
    if table.source.table is None:
        return (Relation(sql=clause, pages=None),)
    cursor.execute(
        "select c.oid, c.relkind, pg_relation_size(c.oid) / current_setting('block_size')::bigint "
        "from pg_class c where c.oid = to_regclass(%s)",
        (clause,),
    )
    oid, kind, pages = cursor.fetchone()
    if kind == "p":
        cursor.execute(
            "select format('%%I.%%I', n.nspname, c.relname), c.relkind, "
            "pg_relation_size(c.oid) / current_setting('block_size')::bigint "
            "from pg_partition_tree(%s) t join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace "
            "where t.isleaf order by 1",
            (oid,),
        )
        leaves = cursor.fetchall()
        return tuple(
            Relation(sql=f"only {name}" if leaf == "r" else name, pages=size if leaf == "r" else None)
            for name, leaf, size in leaves
        )
    return (Relation(sql=clause, pages=pages if kind in ("r", "m") else None),)


def _key_is_unique(cursor: Any, table: Table, relations: int) -> bool:
    """Whether a valid unique index over NOT NULL columns covers exactly the declared key."""
    if table.source.table is None or not table.primary_key or relations == 0:
        return False
    cursor.execute(
        """
        select 1
        from pg_index i
        where i.indrelid = to_regclass(%s) and i.indisunique and i.indisvalid and i.indimmediate
          and i.indpred is null and i.indexprs is null and i.indnkeyatts = %s
          and not exists (
            select 1 from unnest(i.indkey::int[]) with ordinality as k(attnum, position)
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
            where k.position <= i.indnkeyatts and (a.attname <> all(%s) or not a.attnotnull))
        """,
        (from_clause(table), len(table.primary_key), list(table.primary_key)),
    )
    if cursor.fetchone() is None:
        return False
    # An index of an inheritance parent says nothing of its children.
    cursor.execute(
        "select exists(select 1 from pg_inherits h join pg_class c on c.oid = h.inhparent "
        "where h.inhparent = to_regclass(%s) and c.relkind = 'r')",
        (from_clause(table),),
    )
    return not cursor.fetchone()[0]


def refused(table: Table, error: psycopg2.Error) -> EtlError:
    message = (error.diag.message_primary if error.diag else None) or str(error).strip().splitlines()[0]
    source = table.source.table or "its query"
    way_out = {
        "42501": "Grant SELECT on it to the user of the connection's secret",
        "55P03": "Another session holds it locked; run again when it has finished",
        "42P01": "Correct source.table or source.query",
        "42601": "Correct source.query",
        "42703": "Correct source.query",
    }.get(error.pgcode or "", "Correct source in the pipeline file")
    return EtlError(where=f"table {table.name}", what=f"the source refused {source}: {message}", way_out=way_out)
