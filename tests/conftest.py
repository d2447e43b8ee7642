"""What many tests share: one Spark session, one S3 and Glue catalog, one PostgreSQL; each started when first asked for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from local_cloud.jars import spark_jars
from local_cloud.java import java_home

PROJECT = Path(__file__).resolve().parents[1]
if (PROJECT / "constructs" / "__init__.py").exists():
    pytest.exit("constructs/__init__.py exists: it shadows the constructs library; remove it", returncode=1)

# The CDK's own language runtime looks for node on PATH; the virtual environment brings it.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")])
# Workers of Spark import the runtime too.
os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "glue_scripts"), os.environ.get("PYTHONPATH", "")])
os.environ["PYSPARK_PYTHON"] = sys.executable


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def spark(aws: str) -> Iterator[SparkSession]:
    """Started after `aws`: Java and its Python workers keep the environment that they start with."""
    os.environ["JAVA_HOME"] = str(java_home())
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tests")
        .config("spark.jars", ",".join(str(jar) for jar in spark_jars(PROJECT)))
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "true")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3, Glue catalog and Secrets Manager of this session, also set as AWS_ENDPOINT_URL."""
    port, log = free_port(), tmp_path_factory.mktemp("aws") / "emulator.log"
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    endpoint = f"http://127.0.0.1:{port}"
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        _wait_until_listening(port, log)
        yield endpoint
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _wait_until_listening(port: int, log: Path) -> None:
    for _ in range(120):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.25)
    pytest.fail(f"the emulator does not listen on port {port}:\n{log.read_text()[-2000:]}")
