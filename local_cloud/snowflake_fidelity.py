"""What fakesnow 0.12.1 does differently from Snowflake in ways that change data, put right from outside.

| Snowflake | fakesnow 0.12.1 |
|---|---|
| a NULL timestamp is NULL | arrives as 1970-01-01 |
| SUM of a NUMBER is exact | a DOUBLE |
| MERGE fails when two source rows match one target row | takes either of them |
| MERGE works inside BEGIN .. COMMIT | DuckDB refuses the second database that a comment is written to |
| a failed statement is an error that the client reports | HTTP 500, which the connector retries for minutes |
| TRUNCATE forgets which files were loaded | the next COPY says LOAD_SKIPPED |

`apply` is called once, by the server. Private names of fakesnow are touched here and nowhere else.
"""

from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.transforms
import pyarrow as pa
import pyarrow.compute as pc
import snowflake.connector.errors
import sqlglot
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

DUPLICATE_ROW = "Duplicate row detected during DML action"


def apply() -> None:
    """Replace the functions above in fakesnow's modules; affects this process only."""
    _replace(fakesnow.arrow, "timestamp_to_sf_struct", _nullable_timestamps)
    _replace(fakesnow.transforms, "numeric_agg_implicit_cast", _exact_sums)
    _replace(fakesnow.transforms, "merge", _merge_that_refuses_duplicates)
    _replace(FakeSnowflakeCursor, "_execute", _execute)


def _replace(owner: object, name: str, change: Callable[[Any], Any]) -> None:
    setattr(owner, name, change(getattr(owner, name)))


def _nullable_timestamps(original: Callable[[Any], pa.Array]) -> Callable[[Any], pa.Array]:
    def timestamps(values: Any) -> pa.Array:
        array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        struct = original(pc.fill_null(array, pa.scalar(0, array.type)))
        return pa.StructArray.from_arrays(struct.flatten(), fields=list(struct.type), mask=pc.is_null(array))

    return timestamps


def _exact_sums(original: Callable[[exp.Expr], exp.Expr]) -> Callable[[exp.Expr], exp.Expr]:
    def aggregate(expression: exp.Expr) -> exp.Expr:
        if not isinstance(expression, exp.Sum):
            return original(expression)
        if isinstance(expression.parent, exp.Select):
            return exp.alias_(expression, expression.sql(dialect="snowflake").upper(), quoted=True)
        return expression

    return aggregate


def _merge_that_refuses_duplicates(original: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def merge(expression: Any) -> list[Any]:
        statements = original(expression)
        if not isinstance(expression, exp.Merge):
            return statements
        return [_refuse_duplicates(expression), *statements]

    return merge


def _refuse_duplicates(merge: exp.Merge) -> Any:
    target = merge.this
    name = target.alias or target.name
    return sqlglot.parse_one(
        f"SELECT CASE WHEN COUNT(*) > 0 THEN ERROR('{DUPLICATE_ROW}') END AS merge_check FROM ("
        f"SELECT 1 FROM {target} JOIN {merge.args['using']} ON {merge.args['on']} "
        f"GROUP BY {name}.rowid HAVING COUNT(*) > 1) AS duplicates"
    )


def _execute(original: Callable[..., None]) -> Callable[..., None]:
    def execute(cursor: FakeSnowflakeCursor, transformed: Any, params: Any = None) -> None:
        if transformed.key == "create" and "merge_candidates" in transformed.sql().lower():
            # Comments and text lengths go to fakesnow's global database, which a transaction on another may not touch.
            transformed.args.pop("table_comment", None)
            transformed.args.pop("text_lengths", None)
        try:
            original(cursor, transformed, params)
        except duckdb.Error as error:
            raise _as_snowflake_error(error) from error
        if isinstance(transformed, exp.TruncateTable):
            _forget_loaded_files(cursor, transformed)

    return execute


def _as_snowflake_error(error: duckdb.Error) -> snowflake.connector.errors.ProgrammingError:
    message = str(error)
    if DUPLICATE_ROW in message:
        return snowflake.connector.errors.ProgrammingError(msg=DUPLICATE_ROW, errno=100090, sqlstate="42P18")
    if isinstance(error, duckdb.TransactionException):
        return snowflake.connector.errors.ProgrammingError(msg=message, errno=625, sqlstate="57014")
    if isinstance(error, duckdb.ConstraintException):
        return snowflake.connector.errors.ProgrammingError(msg=message, errno=100072, sqlstate="22000")
    return snowflake.connector.errors.ProgrammingError(msg=message, errno=100132, sqlstate="P0000")


def _forget_loaded_files(cursor: FakeSnowflakeCursor, truncate: exp.TruncateTable) -> None:
    connection = cursor._conn
    for table in truncate.expressions:
        database, schema = table.catalog or connection.database, table.db or connection.schema
        with cursor._duck_conn.cursor() as history:
            history.execute(
                f'DELETE FROM "{database}"._fs_information_schema._fs_load_history '
                "WHERE schema_name = ? AND table_name = ?",
                [schema, table.name],
            )
