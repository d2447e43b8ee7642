"""The Spark session of a job: Iceberg tables in the Glue catalog, on Glue and on a laptop alike."""

import os

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

CATALOG = "glue_catalog"


def session_settings(*, region: str, warehouse: str) -> dict[str, str]:
    """Spark settings for Iceberg; endpoints only where the standard AWS_ENDPOINT_URL asks for them."""
    catalog = f"spark.sql.catalog.{CATALOG}"
    settings = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.catalog-impl": "org.apache.iceberg.aws.glue.GlueCatalog",
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{catalog}.warehouse": warehouse,
        f"{catalog}.client.region": region,
        # State is read from the catalog, never from a copy of it.
        f"{catalog}.cache-enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.iceberg.handle-timestamp-without-timezone": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        "spark.sql.adaptive.enabled": "true",
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        settings |= {
            f"{catalog}.glue.endpoint": endpoint,
            f"{catalog}.s3.endpoint": endpoint,
            f"{catalog}.s3.path-style-access": "true",
        }
    return settings


def start_session(*, app: str, region: str, warehouse: str) -> SparkSession:
    """A session with the settings above. Glue's own context exists only on Glue: its jars are there alone."""
    settings = session_settings(region=region, warehouse=warehouse)
    try:
        from awsglue.context import GlueContext
    except ImportError:
        builder = SparkSession.builder.appName(app)
        for key, value in settings.items():
            builder = builder.config(key, value)
        return _sized(builder.getOrCreate())
    conf = SparkConf().setAppName(app).setAll(list(settings.items()))
    return _sized(GlueContext(SparkContext.getOrCreate(conf)).spark_session)


def _sized(session: SparkSession) -> SparkSession:
    """Shuffles in proportion to the cores: Spark's 200 parts cost a small job more than its data does."""
    parts = min(200, max(4, 4 * session.sparkContext.defaultParallelism))
    session.conf.set("spark.sql.shuffle.partitions", str(parts))
    return session
