"""A change set's files, copied into a staging table of their own and checked before anything else is touched."""

import hashlib
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from etl_runtime.errors import EtlError
from etl_runtime.warehouse.connection import Session, query, records
from etl_runtime.warehouse.identifiers import identifier, literal, warehouse_name
from etl_runtime.warehouse.model import OP_COLUMN, ChangeSet, RowsDiffer, WarehouseTable

# https://docs.snowflake.com/en/sql-reference/sql/copy-into-table: at most 1000 names in FILES.
_FILES_PER_COPY = 1000
# The vectorized scanner reads logical types (instants, wall clocks, decimals) and binary as what they are; the options
# say the same for accounts where it is off.
_PARQUET = "(TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE)"


@dataclass(frozen=True)
class Staging:
    """Staging tables of one run in one schema, over one session. `stages` maps a bucket to the stage at its root."""

    session: Session
    database: str
    schema: str
    stages: Mapping[str, str]
    run_id: str

    def load(self, table: WarehouseTable, change: ChangeSet) -> str:
        """The qualified name of a fresh table that holds exactly `change.rows` checked rows; EtlError otherwise."""
        copies = list(self._copies(table, change))
        self.drop(table)
        staged = self._staged(table)
        columns = [f"{identifier(column.name)} {column.declaration}" for column in table.columns]
        if change.kind == "delta":
            columns.append(f"{identifier(OP_COLUMN)} VARCHAR")
        query(
            self.session,
            f"CREATE OR REPLACE TRANSIENT TABLE {staged} ({', '.join(columns)}) DATA_RETENTION_TIME_IN_DAYS = 0",
        )
        loaded = sum(self._copy(table, staged, stage, files) for stage, files in copies)
        self._check_rows(table, change, staged, loaded)
        return staged

    def drop(self, table: WarehouseTable) -> None:
        """Drop the staging tables of `table`, a killed run's too; a run still using one fails, as it should."""
        prefix = _prefix(table)
        left = records(
            self.session,
            f"SELECT TABLE_NAME FROM {identifier(self.database)}.INFORMATION_SCHEMA.TABLES "
            "WHERE TABLE_SCHEMA = ? AND STARTSWITH(TABLE_NAME, ?)",
            [warehouse_name(self.schema), prefix],
        )
        for row in left:
            query(
                self.session, f"DROP TABLE IF EXISTS {identifier(self.database, self.schema, str(row['table_name']))}"
            )

    def _staged(self, table: WarehouseTable) -> str:
        run = hashlib.sha256(self.run_id.encode()).hexdigest()[:8].upper()
        return identifier(self.database, self.schema, f"{_prefix(table)}{run}")

    def _copies(self, table: WarehouseTable, change: ChangeSet) -> Iterator[tuple[str, Sequence[str]]]:
        """(stage, file names below it), at most 1000 names each."""
        by_bucket: dict[str, list[str]] = {}
        for file in change.files:
            url = urllib.parse.urlsplit(file, allow_fragments=False)
            key = file.removeprefix(f"s3://{url.netloc}/")
            if url.scheme != "s3" or url.netloc not in self.stages or key == file:
                raise EtlError(
                    where=f"warehouse table {table.name}",
                    what=f"{file} lies in no bucket with a stage ({', '.join(sorted(self.stages)) or 'there is none'})",
                    way_out="Create the stage with the one-time SQL of the environment",
                )
            by_bucket.setdefault(url.netloc, []).append(key)
        for bucket, keys in by_bucket.items():
            for start in range(0, len(keys), _FILES_PER_COPY):
                yield self.stages[bucket], keys[start : start + _FILES_PER_COPY]

    def _copy(self, table: WarehouseTable, staged: str, stage: str, files: Sequence[str]) -> int:
        results = records(
            self.session,
            f"COPY INTO {staged} FROM @{identifier(self.database, self.schema, stage)} "
            f"FILES = ({', '.join(literal(file) for file in files)}) FILE_FORMAT = {_PARQUET} "
            "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT",
        )
        unread = [row for row in results if row.get("status") != "LOADED"]
        if unread or len(results) != len(files):
            raise RowsDiffer(
                where=f"warehouse table {table.name}",
                what=f"Snowflake loaded {len(results) - len(unread)} of {len(files)} files",
                way_out="Run `etl resume`; nothing was changed",
            )
        return sum(int(row["rows_loaded"]) for row in results)

    def _check_rows(self, table: WarehouseTable, change: ChangeSet, staged: str, loaded: int) -> None:
        key = [identifier(name) for name in table.key]
        no_key = f"COUNT_IF({' OR '.join(f'{column} IS NULL' for column in key)})" if key else "0"
        op = identifier(OP_COLUMN)
        no_op = f"COUNT_IF({op} IS NULL OR {op} NOT IN ('I', 'U', 'D'))" if change.kind == "delta" else "0"
        _, [(rows, nulls, unknown)] = query(self.session, f"SELECT COUNT(*), {no_key}, {no_op} FROM {staged}")
        if not loaded == rows == change.rows:
            raise RowsDiffer(
                where=f"warehouse table {table.name}, {change.kind} change set {change.seq}",
                what=f"it declares {change.rows} rows and Snowflake read {rows} from {len(change.files)} files",
                way_out="Compare the files with the run's report; nothing was changed",
            )
        if unknown:
            raise self._broken(table, change, f"{unknown} rows have an {OP_COLUMN} other than I, U and D")
        if nulls:
            raise self._broken(table, change, f"{nulls} rows have NULL in the key {', '.join(table.key)}")
        if key:
            names = ", ".join(key)
            _, [(twice,)] = query(
                self.session,
                f"SELECT COUNT(*) FROM (SELECT {names} FROM {staged} GROUP BY {names} HAVING COUNT(*) > 1) AS TWICE",
            )
            if twice:
                raise self._broken(table, change, f"{twice} keys ({', '.join(table.key)}) have more than one row")

    @staticmethod
    def _broken(table: WarehouseTable, change: ChangeSet, what: str) -> EtlError:
        return EtlError(
            where=f"warehouse table {table.name}, {change.kind} change set {change.seq}",
            what=what,
            way_out="Nothing was changed; check the key in the pipeline file, then run a full refresh of the table",
        )


def _prefix(table: WarehouseTable) -> str:
    """Names a table without running into another's: `ORDERS` starts `ORDERS_OLD` too."""
    return f"ETL_STAGING_{hashlib.sha256(table.name.encode()).hexdigest()[:12].upper()}_"
