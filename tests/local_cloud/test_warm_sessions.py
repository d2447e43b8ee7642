import io
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud import processes
from tests.local_cloud.conftest import BUCKET, Emulator, emulator_server, started, until

# What the jobs' own session builder does: everything but Spark's static settings is given here.
_JOB = """
import os, sys
from pyspark.sql import SparkSession
import shipped

endpoint, catalog = os.environ["AWS_ENDPOINT_URL"], "spark.sql.catalog.glue_catalog"
builder = SparkSession.builder.appName("job").config("spark.sql.extensions",
    "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
for key, value in {
    "": "org.apache.iceberg.spark.SparkCatalog",
    ".catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
    ".io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    ".warehouse": "s3://lake-of-sessions/warehouse",
    ".glue.endpoint": endpoint, ".s3.endpoint": endpoint, ".s3.path-style-access": "true",
}.items():
    builder = builder.config(catalog + key, value)
spark = builder.getOrCreate()
spark.sql("CREATE TABLE glue_catalog.warm.t (k BIGINT, v STRING) USING iceberg")
spark.sql("INSERT INTO glue_catalog.warm.t SELECT id, 'old' FROM range(4)")
spark.sql("MERGE INTO glue_catalog.warm.t t USING (SELECT 3L AS k) s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = 'new'")
print([tuple(row) for row in spark.table("glue_catalog.warm.t").orderBy("k").collect()])
print(spark.sparkContext.parallelize([20, 21], 2).map(lambda x: shipped.double(x)).collect())
print(sys.argv[1:3], spark.conf.get("spark.sql.session.timeZone"), len(spark.sql("SHOW CATALOGS").collect()))
sys.exit("ended on purpose")
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    server = emulator_server(tmp_path_factory.mktemp("warm"), "--warm-sessions", "1", "--warm-niceness", "0")
    try:
        yield started(server)
    finally:
        processes.stop(server)


def test_a_script_in_a_session_started_ahead_works_and_ends_like_one_of_its_own(warm: Emulator) -> None:
    s3 = warm.client("s3")
    for bucket in (BUCKET, "lake-of-sessions"):
        s3.create_bucket(Bucket=bucket)
    warm.client("glue").create_database(DatabaseInput={"Name": "warm"})
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("shipped/__init__.py", "def double(x): return 2 * x")
    s3.put_object(Bucket=BUCKET, Key="code.zip", Body=code.getvalue())
    extra = {"--extra-py-files": f"s3://{BUCKET}/code.zip"}
    warm.deploy_job("lake", _JOB, command="glueetl", Timeout=90, DefaultArguments=extra)
    processes.post(f"{warm.server.address}/_local_cloud/warm")

    run = warm.ended("lake", warm.start_job("lake"), seconds=120)

    assert run.get("ErrorMessage") == "SystemExit: ended on purpose", warm.log(run["Id"], stream="error")[-20:]
    assert run["JobRunState"] == "FAILED"
    assert warm.log(run["Id"])[-3:] == [
        "[(0, 'old'), (1, 'old'), (2, 'old'), (3, 'new')]",
        "[40, 42]",
        "['--extra-py-files', 's3://scripts-of-tests/code.zip'] UTC 2",
    ]
    assert "Using an existing Spark session" in "\n".join(warm.log(run["Id"], stream="error"))


def test_unused_sessions_end_with_the_emulator(warm: Emulator) -> None:
    processes.post(f"{warm.server.address}/_local_cloud/warm")
    until(lambda: _sessions(warm), lambda text: text == '{"sessions": 1}')
    scratch = Path("/tmp") / f"etl-local-0-{warm.server.port}"
    processes.stop(warm.server)
    assert not scratch.exists()


def _sessions(warm: Emulator) -> str:
    with urllib.request.urlopen(f"{warm.server.address}/_local_cloud/warm") as answer:
        return str(answer.read().decode())
