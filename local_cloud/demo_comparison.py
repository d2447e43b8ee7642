"""The demo's last word: source, lake and warehouse asked the same questions, and the marts beside PostgreSQL's answers."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from etl_model.pipeline import Mart, Pipeline
from etl_model.pipeline import Table as PipelineTable
from operations.failures import OperationError
from operations.query import query
from operations.target import Target
from operations.values import Value

# One column a table whose sum would show a changed value.
_MEASURES = {
    "orders": "o_totalprice",
    "lineitem": "l_extendedprice",
    "customer": "c_acctbal",
    "partsupp": "ps_supplycost",
    "part": "p_retailprice",
    "supplier": "s_acctbal",
    "nation": "n_nationkey",
    "region": "r_regionkey",
}
_QUERIES = {
    "pricing_summary": "Q1",
    "shipping_priority": "Q3",
    "local_supplier_volume": "Q5",
    "forecast_revenue": "Q6",
}
Row = tuple[Any, ...]
_WIDEST_TABLE = 5
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class TableComparison:
    """(rows, sum of the measure) in each place; the source without the rows in quarantine."""

    table: str
    quarantined: int
    source: Row
    lake: Row
    warehouse: Row

    @property
    def equal(self) -> bool:
        return self.source == self.lake == self.warehouse


@dataclass(frozen=True)
class MartComparison:
    """The rows of a mart in the lake, and what PostgreSQL answers to the same SQL."""

    mart: str
    columns: tuple[str, ...]
    lake: list[Row]
    source: list[Row]

    @property
    def equal(self) -> bool:
        return self.lake == self.source


@dataclass(frozen=True)
class DemoComparison:
    tables: list[TableComparison]
    marts: list[MartComparison]

    @property
    def equal(self) -> bool:
        return all(found.equal for found in self.tables) and all(found.equal for found in self.marts)

    def view(self) -> RenderableType:
        return Group(self._tables_view(), *(_mart_view(mart) for mart in self.marts))

    def _tables_view(self) -> RenderableType:
        title = Text("Source, lake and warehouse: rows, and the sum of a column", style="bold")
        view = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("table", "quarantined", "source", "lake", "warehouse", ""):
            view.add_column(heading, justify="left" if heading == "table" else "right")
        for found in self.tables:
            places = (_measured(place) for place in (found.source, found.lake, found.warehouse))
            view.add_row(found.table, f"{found.quarantined:,}", *places, _mark(found.equal))
        return Group(title, view)


def compare(target: Target, pipeline_name: str) -> DemoComparison:
    """Asks all three places; the source is asked without the rows that the checks keep in quarantine."""
    pipeline = target.pipeline(pipeline_name)
    quarantined = {table.name: _quarantined_keys(target, pipeline, table) for table in pipeline.tables}
    shadows = ", ".join(
        f"{table.name} AS (SELECT * FROM public.{table.name}{_without(table, quarantined[table.name])})"
        for table in pipeline.tables
    )
    tables = [_compare_table(target, pipeline, name, shadows, quarantined) for name in _MEASURES]
    marts = [_compare_mart(target, pipeline, mart, shadows) for mart in pipeline.marts]
    return DemoComparison(tables=tables, marts=marts)


def _compare_table(
    target: Target, pipeline: Pipeline, name: str, shadows: str, quarantined: dict[str, list[Row]]
) -> TableComparison:
    question = f"SELECT count(*), sum({_MEASURES[name]}) FROM"
    return TableComparison(
        table=name,
        quarantined=len(quarantined[name]),
        source=_rows(target, f"WITH {shadows} {question} {name}", "erp", pipeline)[1][0],
        lake=_rows(target, f"{question} {name}", "lake", pipeline)[1][0],
        warehouse=_rows(target, f"{question} {name}", "warehouse", pipeline)[1][0],
    )


def _compare_mart(target: Target, pipeline: Pipeline, mart: Mart, shadows: str) -> MartComparison:
    sql = (target.pipelines_folder / pipeline.name / mart.sql).read_text(encoding="utf-8")
    answer = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    columns, source = _rows(target, f"WITH {shadows} {answer}", "erp", pipeline)
    database = target.names.database(pipeline.name, "analytics")
    _, lake = _rows(target, f"SELECT {', '.join(columns)} FROM {database}.{mart.name}", "lake", pipeline)
    return MartComparison(mart=mart.name, columns=columns, lake=sorted(lake, key=str), source=sorted(source, key=str))


def _quarantined_keys(target: Target, pipeline: Pipeline, table: PipelineTable) -> list[Row]:
    """Keys of the rows that were ever stopped; the demo's invalid rows are new rows, so their keys are in no lake table."""
    if not table.primary_key:
        return []
    name = f"{target.names.database(pipeline.name, 'quarantine')}.{table.name}"
    try:
        return _rows(target, f"SELECT DISTINCT {', '.join(table.primary_key)} FROM {name}", "lake", pipeline)[1]
    except OperationError:
        return []  # nothing was ever stopped, so the table does not exist


def _without(table: PipelineTable, keys: list[Row]) -> str:
    if not keys:
        return ""
    listed = ", ".join(f"({', '.join(str(value) for value in key)})" for key in keys)
    return f" WHERE ({', '.join(table.primary_key)}) NOT IN ({listed})"


def _rows(target: Target, sql: str, on: str, pipeline: Pipeline) -> tuple[tuple[str, ...], list[Row]]:
    result = query(target, sql, on=on, pipeline_name=pipeline.name)
    return tuple(column.name for column in result.columns), [tuple(map(_plain, row)) for row in result.rows]


def _plain(value: Value) -> Decimal | str | None:
    """Numbers without trailing zeros: scales differ between engines, values must not."""
    text = str(value)
    if value is None or not _NUMBER.fullmatch(text):
        return None if value is None else text
    exact = Decimal(text).normalize()
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact


def _mart_view(mart: MartComparison) -> RenderableType:
    title = Text(
        f"TPC-H {_QUERIES.get(mart.mart, '')} ({mart.mart}): the mart and PostgreSQL's own answer", style="bold"
    )
    rows = [_mart_row(mart, i) for i in range(max(len(mart.lake), len(mart.source)))]
    if len(mart.columns) > _WIDEST_TABLE:
        lines = [
            Text.assemble("  ", "  ".join(f"{c}={v}" for c, v in zip(mart.columns, values, strict=True)), "  ", mark)
            for found in rows
            for values, mark in found
        ]
        return Group(title, *lines, Text())
    view = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in (*mart.columns, ""):
        view.add_column(column, justify="right")
    for found in rows:
        for values, mark in found:
            view.add_row(*values, mark)
    return Group(title, view)


def _mart_row(mart: MartComparison, i: int) -> list[tuple[list[str], Text]]:
    """One line where both agree, else one for each place."""
    here = mart.lake[i] if i < len(mart.lake) else None
    there = mart.source[i] if i < len(mart.source) else None
    if here == there and here is not None:
        return [([str(value) for value in here], _mark(True))]
    nothing = ("-",) * len(mart.columns)
    places = ((here, "lake"), (there, "PostgreSQL"))
    return [([str(value) for value in row or nothing], Text(place, style="red")) for row, place in places]


def _measured(place: Row) -> str:
    rows, total = place
    return f"{rows:,}\n{total:,}"


def _mark(equal: bool) -> Text:
    return Text("equal", style="green") if equal else Text("DIFFERENT", style="red")
