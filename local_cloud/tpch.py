"""TPC-H in the embedded PostgreSQL: made by tpchgen-cli, loaded by COPY, changed by seeded batches (tpch_changes)."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local_cloud.postgres import PostgresLogin

_LOADERS = 2
_SMALLEST_SCALE = 0.01


@dataclass(frozen=True)
class _Table:
    columns: str
    primary_key: str
    # The column that says when a row changed, and what it is after the load: history, never the clock.
    updated_at: str = ""
    updated_value: str = ""


TABLES: dict[str, _Table] = {
    "region": _Table("r_regionkey int NOT NULL, r_name text NOT NULL, r_comment text NOT NULL", "r_regionkey"),
    "nation": _Table(
        "n_nationkey int NOT NULL, n_name text NOT NULL, n_regionkey int NOT NULL, n_comment text NOT NULL",
        "n_nationkey",
    ),
    "supplier": _Table(
        "s_suppkey bigint NOT NULL, s_name text NOT NULL, s_address text NOT NULL, s_nationkey int NOT NULL, "
        "s_phone text NOT NULL, s_acctbal numeric(15,2) NOT NULL, s_comment text NOT NULL",
        "s_suppkey",
    ),
    "part": _Table(
        "p_partkey bigint NOT NULL, p_name text NOT NULL, p_mfgr text NOT NULL, p_brand text NOT NULL, "
        "p_type text NOT NULL, p_size int NOT NULL, p_container text NOT NULL, p_retailprice numeric(15,2) NOT NULL, "
        "p_comment text NOT NULL",
        "p_partkey",
    ),
    "partsupp": _Table(
        "ps_partkey bigint NOT NULL, ps_suppkey bigint NOT NULL, ps_availqty int NOT NULL, "
        "ps_supplycost numeric(15,2) NOT NULL, ps_comment text NOT NULL",
        "ps_partkey, ps_suppkey",
    ),
    "customer": _Table(
        "c_custkey bigint NOT NULL, c_name text NOT NULL, c_address text NOT NULL, c_nationkey int NOT NULL, "
        "c_phone text NOT NULL, c_acctbal numeric(15,2) NOT NULL, c_mktsegment text NOT NULL, c_comment text NOT NULL",
        "c_custkey",
        "c_updated_at",
        "timestamptz '1992-01-01 12:00:00+00'",
    ),
    "orders": _Table(
        "o_orderkey bigint NOT NULL, o_custkey bigint NOT NULL, o_orderstatus text NOT NULL, "
        "o_totalprice numeric(15,2) NOT NULL, o_orderdate date NOT NULL, o_orderpriority text NOT NULL, "
        "o_clerk text NOT NULL, o_shippriority int NOT NULL, o_comment text NOT NULL",
        "o_orderkey",
        "o_updated_at",
        "(o_orderdate + time '12:00') AT TIME ZONE 'UTC'",
    ),
    "lineitem": _Table(
        "l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber int NOT NULL, "
        "l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, "
        "l_tax numeric(15,2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL, "
        "l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct text NOT NULL, "
        "l_shipmode text NOT NULL, l_comment text NOT NULL",
        "l_orderkey, l_linenumber",
        "l_updated_at",
        "(l_shipdate + time '12:00') AT TIME ZONE 'UTC'",
    ),
}


class TpchError(RuntimeError):
    """The data cannot be made or loaded."""


def load(login: PostgresLogin, scale: str) -> bool:
    """Make and load all eight tables at a scale factor ("0.01", "1"). False when that scale is loaded already.

    Another scale, or a load that was interrupted, is replaced as a whole.
    """
    if float(scale) < _SMALLEST_SCALE:
        raise TpchError(f"scale {scale} is too small: below {_SMALLEST_SCALE} TPC-H's partsupp repeats keys")
    if loaded_scale(login) == scale:
        return False
    with tempfile.TemporaryDirectory(prefix="etl-tpch-") as folder:
        _generate(Path(folder), scale)
        with login.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS local_cloud_tpch")
            for name, table in TABLES.items():
                cursor.execute(f"DROP TABLE IF EXISTS public.{name} CASCADE")
                cursor.execute(f"CREATE TABLE public.{name} ({table.columns})")
        connection.close()
        largest_first = sorted(TABLES, key=lambda name: -(Path(folder) / f"{name}.csv").stat().st_size)
        with ThreadPoolExecutor(_LOADERS) as loaders:
            for _ in loaders.map(lambda name: _load_table(login, name, Path(folder) / f"{name}.csv"), largest_first):
                pass
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE local_cloud_tpch (scale text NOT NULL, batches int NOT NULL)")
        cursor.execute("INSERT INTO local_cloud_tpch VALUES (%s, 0)", [scale])
    connection.close()
    return True


def loaded_scale(login: PostgresLogin) -> str | None:
    """The scale factor in the database, None when nothing is loaded completely."""
    connection = login.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.local_cloud_tpch') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return None
            cursor.execute("SELECT scale FROM local_cloud_tpch")
            row = cursor.fetchone()
            return str(row[0]) if row else None
    finally:
        connection.close()


def _generate(folder: Path, scale: str) -> None:
    program = Path(sys.prefix) / "bin" / "tpchgen-cli"
    command = [str(program), "csv", "--scale-factor", scale, "--output-dir", str(folder)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    missing = [name for name in TABLES if not (folder / f"{name}.csv").is_file()]
    if outcome.returncode or missing:
        raise TpchError(f"{' '.join(command)} failed: {(outcome.stderr or outcome.stdout).strip()[-500:]}")


def _load_table(login: PostgresLogin, name: str, file: Path) -> None:
    table = TABLES[name]
    connection = login.connect()
    with connection, connection.cursor() as cursor, file.open("rb") as rows:
        cursor.execute("SET maintenance_work_mem = '256MB'")
        if table.updated_at:
            # A generated value would need a second pass over the table; a column filled while copying needs none.
            _copy_with_updated_at(cursor, name, table, rows)
        else:
            cursor.copy_expert(f"COPY public.{name} FROM STDIN (FORMAT csv, HEADER)", rows)
        cursor.execute(f"ALTER TABLE public.{name} ADD PRIMARY KEY ({table.primary_key})")
        if table.updated_at:
            cursor.execute(f"CREATE INDEX ON public.{name} ({table.updated_at})")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE public.{name}")
    connection.close()


def _copy_with_updated_at(cursor: Any, name: str, table: _Table, rows: IO[bytes]) -> None:
    constant = table.updated_value.startswith("timestamptz")
    added = f"timestamptz NOT NULL DEFAULT {table.updated_value}" if constant else "timestamptz"
    cursor.execute(f"ALTER TABLE public.{name} ADD COLUMN {table.updated_at} {added}")
    if constant:
        names = ", ".join(_column_names(table))
        cursor.copy_expert(f"COPY public.{name} ({names}) FROM STDIN (FORMAT csv, HEADER)", rows)
        cursor.execute(f"ALTER TABLE public.{name} ALTER COLUMN {table.updated_at} DROP DEFAULT")
        return
    date = table.updated_value.split()[0].lstrip("(")
    position = _column_names(table).index(date)
    cursor.copy_expert(
        f"COPY public.{name} FROM STDIN (FORMAT csv, HEADER)", _WithNoon(rows, position, table.updated_at)
    )
    cursor.execute(f"ALTER TABLE public.{name} ALTER COLUMN {table.updated_at} SET NOT NULL")


def _column_names(table: _Table) -> list[str]:
    return [column.split()[0] for column in table.columns.replace("numeric(15,2)", "numeric").split(", ")]


class _WithNoon:
    """A CSV stream with one more field: the date at `position`, at noon UTC. TPC-H's dates precede its quoted text."""

    def __init__(self, rows: IO[bytes], position: int, name: str) -> None:
        self._lines = self._extended(rows, position, name)
        self._buffer = bytearray()

    def read(self, size: int = 65536) -> bytes:
        while len(self._buffer) < size:
            line = next(self._lines, None)
            if line is None:
                break
            self._buffer += line
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    @staticmethod
    def _extended(rows: IO[bytes], position: int, name: str) -> Iterator[bytes]:
        header = next(rows)
        yield header.rstrip(b"\n") + b"," + name.encode() + b"\n"
        for line in rows:
            fields = line.split(b",", position + 1)
            yield line.rstrip(b"\n") + b"," + fields[position] + b" 12:00:00+00\n"
