"""The warehouse of one pipeline: apply change sets exactly once, and compare with the lake."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from etl_runtime.errors import EtlError
from etl_runtime.warehouse.acknowledgements import Acknowledgements
from etl_runtime.warehouse.connection import Session, close_quietly, query, records
from etl_runtime.warehouse.fingerprint import checksum_sql
from etl_runtime.warehouse.identifiers import identifier, literal, warehouse_name
from etl_runtime.warehouse.model import (
    AppliedCounts,
    ChangeSet,
    Fingerprint,
    OutOfSequence,
    RowsDiffer,
    WarehouseAhead,
    WarehouseTable,
)
from etl_runtime.warehouse.staging import Staging
from etl_runtime.warehouse.statements import append_sql, merge_sql, replace_sql
from etl_runtime.warehouse.tables import TargetTables

_COMMIT_ATTEMPTS = 2


class _CommitUnknown(Exception):  # noqa: N818  # not a failure yet
    """The COMMIT got no answer, and the table's row in ETL_LOADS is not there."""


class Warehouse:
    """One Snowflake schema that follows published lake tables. Holds one session: use one Warehouse per thread.

    `connect` opens a session, and another after an unknown outcome; `stages` maps a bucket to the stage at its root.
    Every method raises EtlError, and none of them leaves a table between two states.
    """

    def __init__(
        self, *, connect: Callable[[], Session], database: str, schema: str, stages: Mapping[str, str], run_id: str
    ) -> None:
        self._connect = connect
        self._database = database
        self._schema = schema
        self._stages = stages
        self._run_id = run_id
        self._open_session: Session | None = None
        self._staged: dict[str, tuple[tuple[str, int], str, WarehouseTable]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the staging tables and end the session."""
        if self._open_session is None:
            return
        try:
            for _, _, table in self._staged.values():
                self._staging().drop(table)
        finally:
            self._staged.clear()
            close_quietly(self._open_session)
            self._open_session = None

    def create_plain_stages(self) -> None:
        """Stages without storage integration, for a warehouse that reads the buckets without one. Before `prepare`."""
        self._create_schema()
        for bucket, stage in self._stages.items():
            query(
                self._session,
                f"CREATE STAGE IF NOT EXISTS {identifier(self._database, self._schema, stage)} "
                f"URL = {literal(f's3://{bucket}/')}",
            )

    def prepare(self) -> None:
        """Create the schema and ETL_LOADS where they are missing, and check that every bucket has its stage."""
        self._create_schema()
        self._acknowledgements().create()
        found = {
            row["name"]: str(row["url"])
            for row in records(self._session, f"SHOW STAGES IN SCHEMA {identifier(self._database, self._schema)}")
        }
        for bucket, stage in self._stages.items():
            url = found.get(warehouse_name(stage))
            if url is None or url.rstrip("/") != f"s3://{bucket}":
                what = "is not there, or this role may not use it" if url is None else f"points at {url}"
                raise EtlError(
                    where=f"stage {identifier(self._database, self._schema, stage)}",
                    what=f"it should point at s3://{bucket}/ and {what}",
                    way_out="Run the one-time SQL of the environment in Snowflake",
                )

    def acknowledged(self, table: str) -> int | None:
        """The seq of `table` that the warehouse holds; None before the first load."""
        return self._acknowledgements().latest(table)

    def apply(
        self, table: WarehouseTable, change: ChangeSet, *, verify: Callable[[], None] | None = None
    ) -> AppliedCounts:
        """Bring `table` to `change.seq` in one transaction; a change set that was applied before does nothing.

        `verify` is called before COMMIT and sees what would be committed; what it raises rolls everything back.

        OutOfSequence when a delta or an append does not follow what is there: load `full` instead. RowsDiffer, or
        EtlError for broken keys, before anything is changed.
        """
        for _ in range(_COMMIT_ATTEMPTS):
            done = self._acknowledgements().recorded(table.name, change.seq)
            if done:
                return done
            expected = self._following(table, change)
            try:
                return self._apply(table, change, expected, verify)
            except _CommitUnknown:
                continue
        raise EtlError(
            where=f"warehouse table {table.name}",
            what=f"Snowflake did not confirm COMMIT of change set {change.seq}, {_COMMIT_ATTEMPTS} times",
            way_out="Run `etl resume`: it looks in ETL_LOADS first, and nothing is applied twice",
        )

    def fingerprint(self, table: WarehouseTable, keys_from: ChangeSet | None = None) -> Fingerprint:
        """Rows and checksum of the whole table, or of the rows whose keys are in a change set (deleted: none)."""
        source = f"{identifier(self._database, self._schema, table.name)} AS T"
        if keys_from is not None and keys_from.kind != "full":
            if not table.key:
                raise ValueError(f"table {table.name} has no key: compare the whole table")
            same = " AND ".join(f"S.{identifier(name)} = T.{identifier(name)}" for name in table.key)
            source += f" WHERE EXISTS (SELECT 1 FROM {self._stage(table, keys_from)} AS S WHERE {same})"
        _, [(rows, checksum)] = query(self._session, checksum_sql(table.columns, source=source))
        return Fingerprint(rows=int(rows), checksum=int(checksum))

    def rows(self, table: WarehouseTable) -> int:
        """Rows of the whole table."""
        return self._count(identifier(self._database, self._schema, table.name))

    def _following(self, table: WarehouseTable, change: ChangeSet) -> int | None:
        """The acknowledged seq, when `change` may follow it."""
        held = self.acknowledged(table.name)
        if held is not None and held >= change.seq:
            raise WarehouseAhead(
                where=f"warehouse table {table.name}",
                what=f"it holds change set {held}, and the lake offers {change.seq}, which was never applied",
                way_out="If the lake was made anew, delete the table's rows from ETL_LOADS and load it in full",
            )
        if change.kind != "full" and held != change.after_seq:
            at = "is empty" if held is None else f"holds change set {held}"
            raise OutOfSequence(
                where=f"warehouse table {table.name}",
                what=f"it {at}, and change set {change.seq} follows {change.after_seq}",
                way_out="Load the published table in full",
            )
        if change.kind == "delta" and not table.key:
            raise ValueError(f"table {table.name} has no key: it cannot take a delta")
        return held

    def _apply(
        self, table: WarehouseTable, change: ChangeSet, expected: int | None, verify: Callable[[], None] | None
    ) -> AppliedCounts:
        TargetTables(self._session, self._database, self._schema).evolve(table)
        staged = self._stage(table, change)
        self._acknowledgements().anchor(table.name)
        try:
            query(self._session, "BEGIN")
            counts = self._change_rows(table, change, staged)
            advanced = self._acknowledgements().advance(
                table.name, expected=expected, change=change, run_id=self._run_id, counts=counts
            )
            if not advanced:
                raise OutOfSequence(
                    where=f"warehouse table {table.name}",
                    what=f"another run moved it on from change set {expected} while this one applied {change.seq}",
                    way_out="Run `etl resume`; nothing of this change set was kept",
                )
            if verify is not None:
                verify()
        except BaseException:
            self._roll_back()
            raise
        self._commit(table, change)
        return counts

    def _change_rows(self, table: WarehouseTable, change: ChangeSet, staged: str) -> AppliedCounts:
        target = identifier(self._database, self._schema, table.name)
        before = self._count(target)
        match change.kind:
            case "full":
                query(self._session, replace_sql(table, target=target, staged=staged))
                inserted, updated, deleted = change.rows, 0, before
            case "append":
                query(self._session, append_sql(table, target=target, staged=staged))
                inserted, updated, deleted = change.rows, 0, 0
            case "delta":
                [done] = records(self._session, merge_sql(table, target=target, staged=staged))
                inserted, updated, deleted = (
                    int(done.get(f"number of rows {what}") or 0) for what in ("inserted", "updated", "deleted")
                )
        counts = AppliedCounts(inserted, updated, deleted, self._count(target))
        if counts.rows_after != before + inserted - deleted:
            raise RowsDiffer(
                where=f"warehouse table {table.name}, {change.kind} change set {change.seq}",
                what=f"{before} rows + {inserted} inserted - {deleted} deleted are not the {counts.rows_after} there",
                way_out="Someone else writes this table: only the load may; nothing of this change set was kept",
            )
        return counts

    def _commit(self, table: WarehouseTable, change: ChangeSet) -> None:
        try:
            query(self._session, "COMMIT")
        except (EtlError, OSError):
            # The answer is lost, the transaction perhaps not: only a new session can tell.
            self._forget_session()
            if self._acknowledgements().recorded(table.name, change.seq) is None:
                raise _CommitUnknown from None

    def _roll_back(self) -> None:
        try:
            query(self._session, "ROLLBACK")
        except (EtlError, OSError):
            # A session that cannot roll back must not be used again: closing it rolls back.
            self._forget_session()

    def _stage(self, table: WarehouseTable, change: ChangeSet) -> str:
        """The staging table of `change`, loaded once for its MERGE and the comparison after it."""
        present = self._staged.get(table.name)
        if present and present[0] == (change.kind, change.seq):
            return present[1]
        staged = self._staging().load(table, change)
        self._staged[table.name] = ((change.kind, change.seq), staged, table)
        return staged

    def _create_schema(self) -> None:
        _, found = query(
            self._session,
            f"SELECT 1 FROM {identifier(self._database)}.INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = ?",
            [warehouse_name(self._schema)],
        )
        if not found:
            query(self._session, f"CREATE SCHEMA IF NOT EXISTS {identifier(self._database, self._schema)}")

    def _count(self, table: str) -> int:
        _, [(rows,)] = query(self._session, f"SELECT COUNT(*) FROM {table}")
        return int(rows)

    def _staging(self) -> Staging:
        return Staging(self._session, self._database, self._schema, self._stages, self._run_id)

    def _acknowledgements(self) -> Acknowledgements:
        return Acknowledgements(self._session, self._database, self._schema)

    @property
    def _session(self) -> Session:
        if self._open_session is None:
            self._open_session = self._connect()
        return self._open_session

    def _forget_session(self) -> None:
        if self._open_session is not None:
            close_quietly(self._open_session)
            self._open_session = None
