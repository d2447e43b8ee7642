"""Starts Spark before the job is known: everything here is what any job does, and nothing that a job could notice.

A session of its own (`newSession`) takes the warm-up's settings and catalogs, so that the job's session is untouched.
"""

import os
import sys
import tempfile
from contextlib import suppress


def warm_up() -> None:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    spark.sparkContext.parallelize([0, 1], 2).map(str).collect()  # Python's workers
    # A failed warm-up costs the job some seconds; it must not cost the run.
    with suppress(Exception):
        _touch_iceberg(spark.newSession())
    sys.stdout.flush()
    sys.stderr.flush()


def _touch_iceberg(session: object) -> None:
    from pyspark.sql import SparkSession

    assert isinstance(session, SparkSession)
    with tempfile.TemporaryDirectory(dir=os.environ["ETL_SCRATCH"]) as folder:
        catalog = "spark.sql.catalog.warm_up"
        session.conf.set(catalog, "org.apache.iceberg.spark.SparkCatalog")
        session.conf.set(f"{catalog}.type", "hadoop")
        session.conf.set(f"{catalog}.warehouse", folder)
        session.conf.set("spark.sql.shuffle.partitions", "2")
        session.sql(
            "CREATE TABLE warm_up.t.x (k BIGINT, v STRING, d DECIMAL(12,2)) USING iceberg TBLPROPERTIES ("
            "'format-version'='2', 'write.merge.mode'='merge-on-read', 'write.update.mode'='merge-on-read',"
            "'write.delete.mode'='merge-on-read', 'write.parquet.compression-codec'='zstd')"
        )
        session.sql("INSERT INTO warm_up.t.x SELECT id, CAST(id AS STRING), 1.5 FROM range(20)")
        session.sql(
            "MERGE INTO warm_up.t.x t USING (SELECT id AS k, md5(CAST(id AS STRING)) AS v, 2.5 AS d "
            "FROM range(9, 30)) s "
            "ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT *"
        )
        session.sql(
            "SELECT v, count(*), sum(d) FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS n "
            "FROM warm_up.t.x) WHERE n = 1 GROUP BY v"
        ).collect()
    _touch_aws(session)


def _touch_aws(session: object) -> None:
    """Loads the AWS SDK of Java: its first client costs more than a second."""
    from pyspark.sql import SparkSession

    assert isinstance(session, SparkSession)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    catalog = "spark.sql.catalog.warm_up_aws"
    session.conf.set(catalog, "org.apache.iceberg.spark.SparkCatalog")
    session.conf.set(f"{catalog}.catalog-impl", "org.apache.iceberg.aws.glue.GlueCatalog")
    session.conf.set(f"{catalog}.io-impl", "org.apache.iceberg.aws.s3.S3FileIO")
    session.conf.set(f"{catalog}.warehouse", "s3://warm-up")
    session.conf.set(f"{catalog}.glue.endpoint", endpoint)
    session.conf.set(f"{catalog}.s3.endpoint", endpoint)
    session.conf.set(f"{catalog}.s3.path-style-access", "true")
    session.conf.set(f"{catalog}.client.region", os.environ["AWS_REGION"])
    session.sql("SHOW NAMESPACES IN warm_up_aws").collect()
    with suppress(Exception):  # there is no such object; the client that says so is what was wanted
        jvm = session._jvm
        file_io = jvm.org.apache.iceberg.aws.s3.S3FileIO()  # type: ignore[union-attr]
        properties = {
            "s3.endpoint": endpoint,
            "s3.path-style-access": "true",
            "client.region": os.environ["AWS_REGION"],
        }
        file_io.initialize(properties)
        file_io.newInputFile("s3://warm-up/nothing").exists()
