"""ETL_LOADS: which change set of which table the warehouse holds, written in the transaction that applies it.

| column | |
|---|---|
| TABLE_NAME, SEQ, RUN_ID, KIND | the change set, by the lake's table name; SEQ is NULL in the row before the first |
| INSERTED_ROWS, UPDATED_ROWS, DELETED_ROWS, ROWS_AFTER | what it did |
| LOADED_AT | when |
| IS_LATEST | true in exactly one row of a table: the state that the next change set must follow |

`advance` moves IS_LATEST by an UPDATE that names the state it expects. The UPDATE locks the row until the transaction
ends, so of two writers one waits and then finds the state changed.
"""

from dataclasses import dataclass

from etl_runtime.warehouse.connection import Session, query
from etl_runtime.warehouse.identifiers import identifier
from etl_runtime.warehouse.model import AppliedCounts, ChangeSet

LOADS_TABLE = "ETL_LOADS"


@dataclass(frozen=True)
class Acknowledgements:
    """ETL_LOADS of one schema, over one session."""

    session: Session
    database: str
    schema: str

    @property
    def _table(self) -> str:
        return identifier(self.database, self.schema, LOADS_TABLE)

    def create(self) -> None:
        """Create ETL_LOADS where it is not there yet."""
        query(
            self.session,
            f"CREATE TABLE IF NOT EXISTS {self._table} ("
            "TABLE_NAME VARCHAR, SEQ NUMBER(38,0), RUN_ID VARCHAR, KIND VARCHAR, INSERTED_ROWS NUMBER(38,0), "
            "UPDATED_ROWS NUMBER(38,0), DELETED_ROWS NUMBER(38,0), ROWS_AFTER NUMBER(38,0), "
            "LOADED_AT TIMESTAMP_TZ, IS_LATEST BOOLEAN)",
        )

    def latest(self, table: str) -> int | None:
        """The seq that the warehouse holds of `table`; None before the first."""
        _, rows = query(
            self.session,
            f"SELECT SEQ FROM {self._table} WHERE TABLE_NAME = ? AND IS_LATEST AND SEQ IS NOT NULL",
            [table],
        )
        return int(rows[0][0]) if rows else None

    def recorded(self, table: str, seq: int) -> AppliedCounts | None:
        """What the change set `seq` of `table` did, when it was committed."""
        _, rows = query(
            self.session,
            f"SELECT INSERTED_ROWS, UPDATED_ROWS, DELETED_ROWS, ROWS_AFTER FROM {self._table} "
            "WHERE TABLE_NAME = ? AND SEQ = ? ORDER BY LOADED_AT DESC LIMIT 1",
            [table, seq],
        )
        return AppliedCounts(*(int(value) for value in rows[0])) if rows else None

    def anchor(self, table: str) -> None:
        """Give `table` its row before the first, so that two first loads meet at one row. Outside a transaction."""
        query(
            self.session,
            f"INSERT INTO {self._table} (TABLE_NAME, KIND, LOADED_AT, IS_LATEST) "
            "SELECT ?, 'none', CURRENT_TIMESTAMP(), TRUE "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._table} WHERE TABLE_NAME = ?)",
            [table, table],
        )

    def advance(
        self, table: str, *, expected: int | None, change: ChangeSet, run_id: str, counts: AppliedCounts
    ) -> bool:
        """In the open transaction: from `expected` to `change.seq`. False when another writer has moved the state."""
        state, values = ("SEQ IS NULL", []) if expected is None else ("SEQ = ?", [expected])
        _, rows = query(
            self.session,
            f"UPDATE {self._table} SET IS_LATEST = FALSE WHERE TABLE_NAME = ? AND IS_LATEST AND {state}",
            [table, *values],
        )
        if int(rows[0][0]) < 1:
            return False
        query(
            self.session,
            f"INSERT INTO {self._table} (TABLE_NAME, SEQ, RUN_ID, KIND, INSERTED_ROWS, UPDATED_ROWS, DELETED_ROWS, "
            "ROWS_AFTER, LOADED_AT, IS_LATEST) SELECT ?, ?, ?, ?, ?, ?, ?, ?, CURRENT_TIMESTAMP(), TRUE",
            [
                table,
                change.seq,
                run_id,
                change.kind,
                counts.inserted,
                counts.updated,
                counts.deleted,
                counts.rows_after,
            ],
        )
        return True
