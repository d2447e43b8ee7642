"""Where fakesnow alone would change data without a word; what the warehouse load does with it is tests/warehouse."""

import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import ProgrammingError

from local_cloud import processes, snowflake
from local_cloud.processes import Server
from tests.conftest import PROJECT, free_port
from tests.local_cloud.conftest import Emulator


@pytest.fixture(scope="module")
def server(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("the double"), free_port()
    command = [sys.executable, "-m", "local_cloud.snowflake_server", "--port", str(port)]
    command += ["--state", str(folder / "databases"), "--s3-endpoint", emulator.server.address]
    server = Server("snowflake", tuple(command), port, "/ready", "connections.snowflake.port", folder, PROJECT)
    try:
        processes.start(server)
        processes.wait_until_ready(server)
        yield server
    finally:
        processes.stop(server)


def test_files_of_a_stage_arrive_with_their_values_and_null_stays_null(
    server: Server, emulator: Emulator, tmp_path: Path
) -> None:
    rows = pa.table(
        {
            "k": pa.array([1, 2], pa.int64()),
            "price": pa.array([Decimal("99999999999999999999999999999999.10"), Decimal("0.20")], pa.decimal128(38, 2)),
            "seen": pa.array([datetime(2024, 1, 2, 3, 4, 5, 6), None], pa.timestamp("us")),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    emulator.client("s3").create_bucket(Bucket="stage-of-tests")
    emulator.client("s3").upload_file(str(tmp_path / "rows.parquet"), "stage-of-tests", "run/rows.parquet")
    _execute(server, "CREATE OR REPLACE STAGE files URL = 's3://stage-of-tests/run/'")
    _execute(
        server, "CREATE OR REPLACE TRANSIENT TABLE loaded (k NUMBER(19,0), price NUMBER(38,2), seen TIMESTAMP_NTZ(6))"
    )
    copy = (
        "COPY INTO loaded FROM @files FILES = ('rows.parquet') FILE_FORMAT = (TYPE = PARQUET) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
    )
    assert _execute(server, copy)[0][1:4] == ("LOADED", 2, 2)
    assert _execute(server, "SELECT k, seen FROM loaded ORDER BY k") == [
        (1, datetime(2024, 1, 2, 3, 4, 5, 6)),
        (2, None),
    ]
    assert _execute(server, "SELECT SUM(price) FROM loaded") == [(Decimal("99999999999999999999999999999999.30"),)]
    _execute(server, "TRUNCATE TABLE loaded")
    assert _execute(server, copy)[0][1:4] == ("LOADED", 2, 2)


def test_a_merge_in_a_transaction_is_undone_by_rollback_and_refuses_two_rows_of_one_key(server: Server) -> None:
    merge = (
        "MERGE INTO target t USING (SELECT * FROM changes) s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v "
        "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"
    )
    for name in ("target", "changes"):
        _execute(server, f"CREATE OR REPLACE TABLE {name} (k NUMBER(19,0), v VARCHAR)")
    _execute(server, "INSERT INTO target VALUES (1, 'old')")
    _execute(server, "INSERT INTO changes VALUES (1, 'new'), (2, 'added')")
    with _session(server) as session:
        cursor = session.cursor()
        cursor.execute("BEGIN")
        assert cursor.execute(merge).fetchall() == [(1, 1)]
        cursor.execute("ROLLBACK")
    assert _execute(server, "SELECT * FROM target") == [(1, "old")]
    _execute(server, "INSERT INTO changes VALUES (1, 'newer')")
    with pytest.raises(ProgrammingError, match="Duplicate row detected during DML action"):
        _execute(server, merge)


def test_databases_are_there_again_after_a_restart(server: Server) -> None:
    _execute(server, "CREATE OR REPLACE TABLE kept (k NUMBER(19,0))")
    _execute(server, "INSERT INTO kept VALUES (7)")
    processes.stop(server)
    processes.start(server)
    processes.wait_until_ready(server)
    assert _execute(server, "SELECT k FROM kept") == [(7,)]


def _session(server: Server) -> Any:
    login = snowflake.secret(server.folder)
    return snowflake.connect(login, host="127.0.0.1", port=server.port, database="ANALYTICS", schema="TESTS")


def _execute(server: Server, sql: str) -> list[tuple[Any, ...]]:
    with _session(server) as session:
        rows: list[tuple[Any, ...]] = session.cursor().execute(sql).fetchall()
        return rows
