"""The tables of a run, a bounded number at a time; one table's failure does not hide another's."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from etl_model.pipeline import Table
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError, EtlErrors, one_or_many

Result = TypeVar("Result")
# Catalog calls and small Spark jobs wait more than they compute; more threads than this bring nothing on small workers.
PARALLEL_TABLES = 4


def each_table(
    context: RunContext, work: Callable[[Table], Result], tables: Sequence[Table] | None = None
) -> list[Result]:
    """`work` for each table, results in order. Every table is tried; then the errors of all are raised together."""
    chosen = list(tables) if tables is not None else context.tables()

    def timed(table: Table) -> Result:
        started = time.monotonic()
        try:
            return work(table)
        finally:
            counts = context.report.tables.setdefault(table.name, {})
            counts["seconds"] = round(counts.get("seconds", 0.0) + time.monotonic() - started, 3)

    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        futures = [pool.submit(timed, table) for table in chosen]
    errors: list[EtlError] = []
    for future in futures:
        error = future.exception()
        if isinstance(error, EtlError):
            errors.append(error)
        elif isinstance(error, EtlErrors):
            errors += error.errors
        elif error is not None:
            raise error
    if errors:
        raise one_or_many(errors)
    return [future.result() for future in futures]
