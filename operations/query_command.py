"""etl query."""

import sys
from typing import Annotated

import typer

from operations.command import EnvironmentOption, JsonOption, PrefixOption, output, readable_failures, target_of
from operations.query import query as run_query
from operations.query_output import ROWS_SHOWN, write_json, write_table


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that reads.")],
    on: Annotated[str, typer.Option(help="lake, warehouse, or a connection of the environment.")] = "lake",
    environment: EnvironmentOption = "local",
    pipeline: Annotated[
        str | None,
        typer.Option(help="Whose tables plain names mean; not needed with a single pipeline.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows to show; --json shows all.")] = ROWS_SHOWN,
    prefix: PrefixOption = "",
) -> None:
    """Read from the lake (Athena), the warehouse (Snowflake) or a source database. Values are exact; NULL is NULL."""
    with readable_failures(as_json=as_json):
        result = run_query(target_of(environment, prefix), sql, on=on, pipeline_name=pipeline)
    with readable_failures():  # a second document after half of the first would be worse than none
        if as_json:
            write_json(result, sys.stdout, on=on)
        else:
            write_table(result, output(), max_rows=max_rows)
