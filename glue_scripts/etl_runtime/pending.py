"""Which raw rows a table has still to load, as every stage after Extract sees it."""

from dataclasses import dataclass

from etl_model.pipeline import Table
from etl_runtime.context import RunContext
from etl_runtime.iceberg import Lake
from etl_runtime.state import LoadedState, RawState, loaded_state, raw_state


@dataclass(frozen=True)
class Pending:
    """Raw rows with from_seq < _etl_seq <= to_seq; for load: replace only those of to_seq count."""

    raw: RawState
    loaded: LoadedState

    @property
    def from_seq(self) -> int:
        return self.loaded.loaded_seq

    @property
    def to_seq(self) -> int:
        return self.raw.seq

    @property
    def nothing(self) -> bool:
        return self.to_seq <= self.from_seq

    def first_seq(self, table: Table) -> int:
        """The lowest seq whose rows are read."""
        return self.to_seq if table.load == "replace" else self.from_seq + 1


def pending_rows(context: RunContext, lake: Lake, table: Table) -> Pending:
    raw = raw_state(lake.properties(context.table_name("raw", table.name)))
    loaded = loaded_state(lake.properties(context.table_name("curated", table.name)))
    return Pending(raw=raw, loaded=loaded)
