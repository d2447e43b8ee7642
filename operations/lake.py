"""The lake's tables, read by Athena."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from operations.failures import failure
from operations.query import Column, QueryResult
from operations.statements import single_read
from operations.target import Target
from operations.values import Value, float_text, timestamp_text

_WHOLE_NUMBERS = ("tinyint", "smallint", "integer", "int", "bigint")
_FLOATS = ("double", "float", "real")
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0


def query_lake(target: Target, sql: str, *, database: str | None) -> QueryResult:
    """Athena's answer; plain table names are looked up in the Glue `database`, others as database.table."""
    statement = single_read(sql, dialect="athena")
    context: dict[str, Any] = {"QueryExecutionContext": {"Database": database}} if database else {}
    query_id = target.athena.start_query_execution(
        QueryString=statement,
        ResultConfiguration={"OutputLocation": f"s3://{target.names.bucket('logs')}/queries/"},
        **context,
    )["QueryExecutionId"]
    try:
        _wait(target, query_id, database)
    except KeyboardInterrupt:
        target.athena.stop_query_execution(QueryExecutionId=query_id)
        raise
    pages = iter(target.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id))
    first: Mapping[str, Any] = next(pages)
    described = first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    columns = tuple(Column(name=column["Name"], type=column["Type"]) for column in described)
    return QueryResult(columns=columns, rows=_rows(columns, first, pages))


def _wait(target: Target, query_id: str, database: str | None) -> None:
    wait = _FIRST_WAIT
    while True:
        status = target.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        state = status["State"]
        if state == "SUCCEEDED":
            return
        if state in ("FAILED", "CANCELLED"):
            reason = str(status.get("StateChangeReason") or state.lower()).strip().rstrip(".")
            way_out = (
                f"Plain names are looked up in {database}; name others as database.table"
                if database
                else ("Name tables as database.table, or give --pipeline")
            )
            raise failure("lake", reason, way_out)
        time.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)


def _rows(columns: tuple[Column, ...], first: Mapping[str, Any], others: Iterator[Any]) -> Iterator[tuple[Value, ...]]:
    rows = first["ResultSet"]["Rows"]
    # The answer to a SELECT starts with the columns' names; that to SHOW or DESCRIBE does not.
    if rows and [datum.get("VarCharValue") for datum in rows[0]["Data"]] == [column.name for column in columns]:
        rows = rows[1:]
    yield from (_row(columns, row) for row in rows)
    for page in others:
        yield from (_row(columns, row) for row in page["ResultSet"]["Rows"])


def _row(columns: tuple[Column, ...], row: Mapping[str, Any]) -> tuple[Value, ...]:
    return tuple(
        _value(datum.get("VarCharValue"), column.type) for column, datum in zip(columns, row["Data"], strict=True)
    )


def _value(text: str | None, type_name: str) -> Value:
    if text is None:
        return None
    if type_name in _WHOLE_NUMBERS:
        return int(text)
    if type_name == "boolean":
        return text == "true"
    if type_name in _FLOATS:
        return float_text(text)
    if type_name == "varbinary":
        return text.replace(" ", "").lower()
    return timestamp_text(text) if type_name.startswith("timestamp") else text
