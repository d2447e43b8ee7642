"""One consistent view of a database for every slice and key set of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from etl_model.environment import PostgreSQLConnection
from etl_model.pipeline import Table
from etl_runtime.errors import EtlError, EtlErrors, one_or_many
from etl_runtime.postgresql.connect import connected
from etl_runtime.postgresql.discover import SourceTable, discover, lockable


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot and its tables as they look in it.

    writers_open: somebody's transaction had written and was still open, so numbers that it took may yet appear.
    safe_until: no transaction that was open when the snapshot was taken began before it. A row stamped later than this by
    its transaction's clock may still be invisible, so no watermark may pass it.
    """

    name: str
    connection: PostgreSQLConnection
    id: str
    safe_until: str
    writers_open: bool
    sources: dict[str, SourceTable]


@contextmanager
def open_snapshot(
    name: str, connection: PostgreSQLConnection, tables: list[Table], *, region: str
) -> Iterator[Snapshot]:
    """Locks, then the snapshot, then discovery inside it; every table's problem is reported at once."""
    with connected(name, connection, region=region) as opened:
        cursor = opened.cursor()
        locks = lockable(cursor, tables)
        _require_sight_or_lag(cursor, tables)
        # Asked before the snapshot: what begins after this moment is stamped after it.
        cursor.execute(
            "select least(clock_timestamp(),"
            " (select min(xact_start) from pg_stat_activity where pid <> pg_backend_pid()),"
            " (select min(prepared) from pg_prepared_xacts))::text,"
            " exists(select 1 from pg_stat_activity where pid <> pg_backend_pid() and backend_xid is not null"
            " and datname = current_database()) or exists(select 1 from pg_prepared_xacts)"
        )
        safe_until, writers_open = cursor.fetchone()
        opened.commit()
        opened.set_session(isolation_level="REPEATABLE READ", readonly=True)
        if locks:
            try:
                cursor.execute(f"lock table {', '.join(locks)} in access share mode")
            except psycopg2.Error as error:
                message = (error.diag.message_primary if error.diag else None) or str(error).strip()
                raise EtlError(
                    where=f"connection {name}",
                    what=f"its tables cannot be read: {message}",
                    way_out="Grant SELECT on them to the user of the connection's secret, or wait until they are unlocked",
                ) from error
        cursor.execute("select pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
        sources: dict[str, SourceTable] = {}
        errors: list[EtlError] = []
        for table in tables:
            try:
                sources[table.name] = discover(cursor, table)
            except EtlError as error:
                errors.append(error)
            except EtlErrors as several:
                errors += several.errors
        if errors:
            raise one_or_many(errors)
        yield Snapshot(
            name=name,
            connection=connection,
            id=snapshot,
            safe_until=safe_until,
            writers_open=writers_open,
            sources=sources,
        )


def _require_sight_or_lag(cursor: Any, tables: list[Table]) -> None:
    """EtlError for cursors without lag where open transactions of others cannot be seen: they could be passed."""
    cursor.execute("select pg_has_role(current_user, 'pg_read_all_stats', 'usage') and not pg_is_in_recovery()")
    if cursor.fetchone()[0]:
        return
    errors = [
        EtlError(
            where=f"table {table.name} cursor",
            what="without a lag, rows of transactions that are open during the read would be passed, and this user "
            "cannot see them",
            way_out="Grant pg_read_all_stats to the user of the connection's secret (and read from the primary), "
            "or declare the longest transaction as cursor.lag",
        )
        for table in tables
        if table.cursor is not None and not table.cursor.lag
    ]
    if errors:
        raise one_or_many(errors)
