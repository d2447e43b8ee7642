"""A source database, read in a transaction that cannot write."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extensions

from etl_model.environment import PostgreSQLConnection
from operations.failures import OperationError, failure
from operations.query import Column, QueryResult
from operations.secret import read_secret
from operations.statements import single_read
from operations.target import Target
from operations.values import Value, float_text, timestamp_text

_WHOLE_NUMBERS = (20, 21, 23, 26)  # int8, int2, int4, oid
_BOOLEAN, _BYTEA, _FLOATS, _TIMESTAMPS = 16, 17, (700, 701), (1114, 1184)
_ROWS_PER_FETCH = 5000
_SECONDS_TO_CONNECT = 10
_WAY_OUT = "Check host, port, tls and the secret's values in the environment file, and that the database runs"


def query_database(target: Target, sql: str, *, name: str, connection: PostgreSQLConnection) -> QueryResult:
    """PostgreSQL's answer, each value as PostgreSQL itself writes it; times with a zone are shown in UTC."""
    statement = single_read(sql, dialect="postgres")
    login = read_secret(target, connection.secret, keys=("username", "password"))
    session = connect(connection, name=name, user=login["username"], password=login["password"])
    session.set_session(readonly=True)
    # A cursor on the server: without one the whole result would be fetched into this process's memory first.
    streams = statement.lstrip("( \n\t").upper().startswith(("SELECT", "WITH", "VALUES", "TABLE"))
    cursor = session.cursor("etl_query") if streams else session.cursor()
    cursor.itersize = _ROWS_PER_FETCH
    try:
        cursor.execute(statement)
        first = cursor.fetchmany(_ROWS_PER_FETCH)
        described = cursor.description or ()
        types = _type_names(session, [column.type_code for column in described])
    except psycopg2.Error as error:
        session.close()
        raise _refused(name, error) from error
    columns = tuple(Column(name=column.name, type=types[column.type_code]) for column in described)
    return QueryResult(
        columns=columns, rows=_rows(session, cursor, first, [column.type_code for column in described], name)
    )


def connect(connection: PostgreSQLConnection, *, name: str, user: str, password: str, way_out: str = _WAY_OUT) -> Any:
    """A psycopg2 connection whose values are PostgreSQL's own text; OperationError says why there is none."""
    try:
        session = psycopg2.connect(
            host=connection.host,
            port=connection.port,
            dbname=connection.database,
            user=user,
            password=password,
            sslmode=connection.tls,
            connect_timeout=_SECONDS_TO_CONNECT,
            application_name="etl query",
            client_encoding="UTF8",
            options="-c timezone=UTC -c datestyle=ISO -c intervalstyle=iso_8601 -c bytea_output=hex",
        )
    except psycopg2.OperationalError as error:
        if connection.tls == "verify-full":
            way_out += "; PGSSLROOTCERT names the file of the certificate authority"
        raise failure(f"connection {name}", _message(error), way_out) from None
    for oid in list(psycopg2.extensions.string_types):
        if oid not in (*_WHOLE_NUMBERS, _BOOLEAN):
            as_text = psycopg2.extensions.new_type((oid,), "TEXT", lambda value, cursor: value)
            psycopg2.extensions.register_type(as_text, session)
    return session


def _type_names(session: Any, oids: list[int]) -> dict[int, str]:
    with session.cursor() as cursor:
        cursor.execute("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s)", (oids,))
        return dict(cursor.fetchall())


def _rows(session: Any, cursor: Any, first: list[Any], oids: list[int], name: str) -> Iterator[tuple[Value, ...]]:
    with closing(session):
        rows = first
        try:
            while rows:
                for row in rows:
                    yield tuple(_value(value, oid) for value, oid in zip(row, oids, strict=True))
                rows = cursor.fetchmany(_ROWS_PER_FETCH)
        except psycopg2.Error as error:
            raise _refused(name, error) from error


def _value(value: Any, oid: int) -> Value:
    if value is None or oid in _WHOLE_NUMBERS or oid == _BOOLEAN:
        return value  # type: ignore[no-any-return]  # psycopg2 made it an int or a bool
    if oid == _BYTEA:
        return str(value).removeprefix("\\x")
    if oid in _FLOATS:
        return float_text(value)
    return timestamp_text(value) if oid in _TIMESTAMPS else str(value)


def _refused(name: str, error: psycopg2.Error) -> OperationError:
    return failure(f"connection {name}", _message(error), "Correct the statement")


def _message(error: psycopg2.Error) -> str:
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return f"{' '.join(text.split())}{hint}".rstrip(".?")
