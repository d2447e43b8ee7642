"""A database and a lake for the stages, one of each per session; every test has a pipeline and an environment of its own."""

import hashlib
import json
import re
from collections.abc import Iterator

import boto3
import pytest
from pyspark.sql import SparkSession

from etl_model.environment import PostgreSQLConnection
from etl_model.names import Names
from local_cloud.postgres import EmbeddedPostgres, PostgresLogin
from tests.conftest import free_port
from tests.runtime.workbench import REGION, Workbench

SECRET = "etl/tests/erp"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresLogin]:
    # The server runs as a user of its own, so the folders above it have to let it through.
    folder = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(folder, port=free_port(), database="tests")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def erp(aws: str, postgres: PostgresLogin) -> PostgreSQLConnection:
    """The connection that test pipelines name, and its secret."""
    secrets = boto3.client("secretsmanager", region_name=REGION)
    secrets.create_secret(Name=SECRET, SecretString=json.dumps(postgres.secret()))
    return PostgreSQLConnection(
        kind="postgresql",
        host="127.0.0.1",
        port=postgres.port,
        database=postgres.database,
        secret=SECRET,
        tls="disable",
    )


@pytest.fixture
def workbench(
    request: pytest.FixtureRequest, spark: SparkSession, postgres: PostgresLogin, erp: PostgreSQLConnection
) -> Workbench:
    name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))[-36:].strip("_")
    environment = "t" + hashlib.sha256(name.encode()).hexdigest()[:8]
    bench = Workbench(name, spark, postgres, Names(environment, "000000000000", REGION))
    bench.prepare({"erp": erp})
    return bench
