"""Snowflake, read with the connection that the load uses."""

from collections.abc import Iterator

from etl_model.environment import SnowflakeConnection
from etl_model.pipeline import Warehouse
from operations.failures import failure
from operations.query import Column, QueryResult
from operations.secret import read_secret
from operations.statements import single_read
from operations.target import Target
from operations.values import Value, exact

_ROWS_PER_FETCH = 5000


def query_warehouse(
    target: Target, sql: str, *, connection: SnowflakeConnection, warehouse: Warehouse | None
) -> QueryResult:
    """Snowflake's answer; plain table names are looked up in the pipeline's database and schema, where there is one."""
    # Imported here: the connector takes most of a second to load, and only this needs it.
    from snowflake.connector.constants import FIELD_ID_TO_NAME
    from snowflake.connector.errors import Error as SnowflakeError

    from etl_runtime.errors import EtlError
    from etl_runtime.warehouse.connection import close_quietly, connect

    statement = single_read(sql, dialect="snowflake")
    try:
        session = connect(
            connection,
            read_secret(target, connection.secret, keys=("user", "private_key")),
            database=warehouse.database if warehouse else None,
            schema=warehouse.schema_ if warehouse else None,
            query_tag="etl query",
        )
    except EtlError as error:
        raise failure(error.where, error.what, error.way_out) from error
    cursor = session.cursor()
    try:
        cursor.execute(statement)
    except SnowflakeError as error:
        close_quietly(session)
        what = " ".join(str(error.msg or error).split()).rstrip(".")
        where = f"{warehouse.database}.{warehouse.schema_}" if warehouse else None
        way_out = (
            f"Plain names are looked up in {where}"
            if where
            else "Name tables as DATABASE.SCHEMA.TABLE, or give --pipeline"
        )
        raise failure("warehouse", what, way_out) from error
    columns = tuple(
        Column(name=field.name, type=str(FIELD_ID_TO_NAME[field.type_code]).lower())
        for field in cursor.description or ()
    )

    def rows() -> Iterator[tuple[Value, ...]]:
        try:
            while batch := cursor.fetchmany(_ROWS_PER_FETCH):
                yield from (tuple(exact(value) for value in row) for row in batch)
        finally:
            close_quietly(session)

    return QueryResult(columns=columns, rows=rows())
