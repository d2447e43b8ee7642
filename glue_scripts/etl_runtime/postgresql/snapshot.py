"""One consistent view of a database for every slice and key set of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2

from etl_model.environment import PostgreSQLConnection
from etl_model.pipeline import Table
from etl_runtime.errors import EtlError, EtlErrors, one_or_many
from etl_runtime.postgresql.connect import connected
from etl_runtime.postgresql.discover import SourceTable, discover, lockable


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot and its tables as they look in it.

    safe_until: no transaction that was open when the snapshot was taken began before it. A row stamped later than this by
    its transaction's clock may still be invisible, so no watermark may pass it.
    """

    name: str
    connection: PostgreSQLConnection
    id: str
    safe_until: str
    sources: dict[str, SourceTable]


@contextmanager
def open_snapshot(
    name: str, connection: PostgreSQLConnection, tables: list[Table], *, region: str
) -> Iterator[Snapshot]:
    """Locks, then the snapshot, then discovery inside it; every table's problem is reported at once."""
    with connected(name, connection, region=region) as opened:
        cursor = opened.cursor()
        locks = lockable(cursor, tables)
        # Asked before the snapshot: what begins after this moment is stamped after it.
        cursor.execute(
            "select least(clock_timestamp(), min(xact_start) filter (where pid <> pg_backend_pid()))::text from pg_stat_activity"
            " where datname = current_database() or datname is null"
        )
        safe_until = cursor.fetchone()[0]
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
        yield Snapshot(name=name, connection=connection, id=snapshot, safe_until=safe_until, sources=sources)
