"""Rows of a query on standard output: a table for people, a JSON document for scripts. NULL is no empty text."""

import json
from itertools import islice
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from operations.query import Column, QueryResult
from operations.values import Value

ROWS_SHOWN = 200
_NUMBERS = ("int", "decimal", "numeric", "double", "float", "real", "number", "fixed")


def write_json(result: QueryResult, stream: TextIO, *, on: str) -> None:
    """{"on", "columns": [{"name", "type"}], "rows": [[…]], "row_count"}, written as the rows arrive."""
    columns = [{"name": column.name, "type": column.type} for column in result.columns]
    stream.write(f'{{"on": {json.dumps(on)}, "columns": {json.dumps(columns, ensure_ascii=False)}, "rows": [')
    count = 0
    for row in result.rows:
        stream.write(f"{',' if count else ''}\n{json.dumps(row, ensure_ascii=False)}")
        count += 1
    stream.write(f'{chr(10) if count else ""}], "row_count": {count}}}\n')


def write_table(result: QueryResult, console: Console, *, max_rows: int = ROWS_SHOWN) -> None:
    """The first `max_rows` rows; a cell never loses text: it is folded on a terminal, and whole in a pipe."""
    rows = list(islice(result.rows, max_rows + 1))
    shown = rows[:max_rows]
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in result.columns:
        drawn.add_column(Text(column.name), overflow="fold", justify="right" if _is_number(column) else "left")
    for row in shown:
        drawn.add_row(*(_cell(value) for value in row))
    if not console.is_terminal:
        endless = console.options.update(width=1_000_000)
        console.width = max(console.width, Measurement.get(console, endless, drawn).maximum)
    console.print(drawn)
    if len(rows) > max_rows:
        console.print(Text(f"the first {max_rows:,} rows; more with --max-rows, all with --json", style="dim"))
    else:
        console.print(Text(f"{len(shown):,} row{'' if len(shown) == 1 else 's'}", style="dim"))


def _cell(value: Value) -> Text:
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, bool):
        return Text("true" if value else "false")
    if value == "":
        return Text("''", style="dim")
    # Other control characters would move the cursor or colour the terminal.
    text = str(value).replace("\\", "\\\\") if isinstance(value, str) and not str(value).isprintable() else str(value)
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def _is_number(column: Column) -> bool:
    kind = column.type.lower()
    return kind.startswith(_NUMBERS) or kind in ("smallint", "bigint", "tinyint")
