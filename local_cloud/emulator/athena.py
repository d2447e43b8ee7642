"""Athena queries on the emulator's Iceberg tables: pyiceberg reads them, sqlglot translates, DuckDB answers.

Exact for stored values, SUM, MIN and MAX. AVG and division of decimals are DOUBLE here and DECIMAL on Athena.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from sqlglot import exp

from local_cloud.emulator.ministack_access import Json
from local_cloud.emulator.settings import Settings

_NO_DOWNLOADS: dict[str, Any] = {"autoinstall_known_extensions": False}


class QueryError(ValueError):
    """The query cannot be answered; the message becomes the execution's StateChangeReason."""


class AthenaEngine:
    """`run` is called from a thread; it reads the catalog and S3 through the emulator's own endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, query: str, database: str) -> Json:
        """{"columns": names, "column_types": Athena's types, "rows": lists of text or None}. Raises QueryError."""
        statement = _with_athenas_column_names(_parse(query))
        catalog = self._catalog()
        with duckdb.connect(":memory:", config=_NO_DOWNLOADS) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for number, node in enumerate(_stored_tables(statement)):
                name = f"stored_{number}"
                connection.register(name, _scan(catalog, node, database, statement))
                _point_to(node, name)
            try:
                result = connection.sql(statement.sql(dialect="duckdb")).to_arrow_table()
            except duckdb.Error as error:
                raise QueryError(str(error)) from error
        columns = [column.to_pylist() for column in result.columns]
        return {
            "columns": result.column_names,
            "column_types": [_athena_type(field.type) for field in result.schema],
            "rows": [[_text(value) for value in row] for row in zip(*columns, strict=True)],
        }

    def _catalog(self) -> Catalog:
        s = self._settings
        login = {"access-key-id": "test", "secret-access-key": "test", "region": s.region, "endpoint": s.endpoint}
        properties = {f"{service}.{key}": value for service in ("glue", "s3") for key, value in login.items()}
        return load_catalog("athena", type="glue", **properties)


def _parse(query: str) -> exp.Query:
    try:
        statement = sqlglot.parse_one(query, read="athena")
    except sqlglot.errors.ParseError as error:
        first = error.errors[0] if error.errors else {"line": 1, "col": 1, "description": str(error)}
        raise QueryError(f"line {first['line']}:{first['col']}: {first['description']}") from error
    if not isinstance(statement, exp.Query):
        raise QueryError(f"{query.split()[0].upper()} is not supported by the local cloud's Athena: queries only")
    return statement


def _with_athenas_column_names(statement: exp.Query) -> exp.Query:
    """A computed column without a name is `_col0`, `_col1`, ... by its position."""
    if isinstance(statement, exp.Select):
        for position, column in enumerate(statement.expressions):
            if not isinstance(column, (exp.Alias, exp.Column, exp.Star)):
                column.replace(exp.alias_(column.copy(), f"_col{position}"))
    return statement


def _stored_tables(statement: exp.Query) -> list[exp.Table]:
    ctes = {cte.alias_or_name for cte in statement.find_all(exp.CTE)}
    return [t for t in statement.find_all(exp.Table) if t.name and (t.db or t.name not in ctes)]


def _scan(catalog: Catalog, node: exp.Table, database: str, statement: exp.Query) -> pa.Table:
    identifier = (node.db.lower() or database, node.name.lower())
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError as error:
        raise QueryError(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{'.'.join(identifier)}' does not exist") from error
    return table.scan(selected_fields=_columns(table, statement), snapshot_id=_snapshot(table, node)).to_arrow()


def _columns(table: Table, statement: exp.Query) -> tuple[str, ...]:
    """The columns that the query names; all of them when it says `*` anywhere but in COUNT(*)."""
    if any(not isinstance(star.parent, exp.Count) for star in statement.find_all(exp.Star)):
        return ("*",)
    stored = [field.name for field in table.schema().fields]
    named = {column.name.lower() for column in statement.find_all(exp.Column)}
    return tuple(name for name in stored if name.lower() in named) or (stored[0],)


def _snapshot(table: Table, node: exp.Table) -> int | None:
    version = node.args.get("version")
    if version is None:
        return None
    wanted = version.expression.name if isinstance(version.expression, exp.Literal) else ""
    if version.name.upper() != "VERSION" or not wanted:
        raise QueryError("FOR TIMESTAMP AS OF is not supported by the local cloud's Athena; use FOR VERSION AS OF")
    found = table.snapshot_by_id(int(wanted)) if wanted.isdigit() else table.snapshot_by_name(wanted)
    if found is None:
        raise QueryError(f"Table {node.name} has no snapshot {wanted}")
    return int(found.snapshot_id)


def _point_to(node: exp.Table, name: str) -> None:
    if not node.alias:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name, quoted=True)))
    for part in ("db", "catalog", "version"):
        node.set(part, None)
    node.set("this", exp.to_identifier(name))


_TYPES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.binary(): "varbinary",
    pa.large_binary(): "varbinary",
}


def _athena_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp"
    return _TYPES.get(kind, "varchar")


def _text(value: Any) -> str | None:
    """A value as Athena writes it in a result."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex(" ")
    return str(value)


def _timestamp(value: datetime) -> str:
    text = value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return f"{text} UTC" if value.tzinfo else text
