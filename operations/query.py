"""One read, sent to the lake, the warehouse or a source; `query` returns the rows as they arrive."""

from collections.abc import Iterator
from dataclasses import dataclass

from etl_model.environment import PostgreSQLConnection, SnowflakeConnection
from etl_model.pipeline import Pipeline
from operations.failures import failure
from operations.target import Target
from operations.values import Value

LAKE, WAREHOUSE = "lake", "warehouse"


@dataclass(frozen=True)
class Column:
    """Name and the engine's own name of the type."""

    name: str
    type: str


@dataclass(frozen=True)
class QueryResult:
    """`rows` can be read once."""

    columns: tuple[Column, ...]
    rows: Iterator[tuple[Value, ...]]


def query(target: Target, sql: str, *, on: str, pipeline_name: str | None = None) -> QueryResult:
    """Runs one reading statement `on` lake, warehouse or a connection of the environment.

    The pipeline sets where plain table names are looked up; with a single pipeline in the project it need not be named.
    OperationError says what is wrong with the statement or the place.
    """
    pipeline = _pipeline(target, pipeline_name)
    if on == LAKE:
        from operations.lake import query_lake

        return query_lake(target, sql, database=target.names.database(pipeline.name, "curated") if pipeline else None)
    if on == WAREHOUSE:
        from operations.warehouse import query_warehouse

        name = pipeline.warehouse.connection if pipeline and pipeline.warehouse else _only_warehouse(target)
        return query_warehouse(
            target, sql, connection=_snowflake(target, name), warehouse=pipeline.warehouse if pipeline else None
        )
    connection = target.environment.connections.get(on)
    if isinstance(connection, PostgreSQLConnection):
        from operations.database import query_database

        return query_database(target, sql, name=on, connection=connection)
    if isinstance(connection, SnowflakeConnection):
        from operations.warehouse import query_warehouse

        return query_warehouse(target, sql, connection=connection, warehouse=None)
    known = ", ".join((LAKE, WAREHOUSE, *target.environment.connections))
    raise failure("--on", f"environment {target.environment.name} has no {on!r}", f"Use one of: {known}")


def _pipeline(target: Target, name: str | None) -> Pipeline | None:
    if name is not None:
        return target.pipeline(name)
    names = target.pipeline_names()
    return target.pipeline(names[0]) if len(names) == 1 else None


def _only_warehouse(target: Target) -> str:
    connections = target.environment.connections.items()
    names = [name for name, connection in connections if isinstance(connection, SnowflakeConnection)]
    if len(names) != 1:
        which = f"has {len(names)} warehouses ({', '.join(names)})" if names else "has no warehouse"
        raise failure(
            "--on warehouse", f"environment {target.environment.name} {which}", "Name the pipeline with --pipeline"
        )
    return names[0]


def _snowflake(target: Target, name: str) -> SnowflakeConnection:
    connection = target.environment.connections[name]
    if not isinstance(connection, SnowflakeConnection):
        raise failure(f"connection {name}", f"it is {connection.kind}, not a warehouse", "Correct the pipeline file")
    return connection
