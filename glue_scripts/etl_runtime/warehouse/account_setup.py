"""The SQL that an account administrator runs once per environment: what the load itself may not create."""

from collections.abc import Mapping, Sequence

from etl_runtime.warehouse.identifiers import identifier, literal


def setup_sql(
    *,
    database: str,
    schemas: Sequence[str],
    warehouse: str,
    role: str,
    user: str,
    integration: str,
    aws_role_arn: str,
    stages: Mapping[str, str],
) -> str:
    """Role, user, database, schemas, storage integration and a stage per bucket (bucket to stage name) in every schema.

    The AWS role `aws_role_arn` must trust the user and external id that the last statement shows.
    """
    if not schemas or not stages:
        raise ValueError("setup_sql needs at least one schema and one bucket")
    locations = ", ".join(literal(f"s3://{bucket}/") for bucket in stages)
    db, wh, to = identifier(database), identifier(warehouse), f"TO ROLE {identifier(role)}"
    by = identifier(integration)
    lines = [
        "-- Run once, as ACCOUNTADMIN. Repeating it changes nothing.",
        "USE ROLE ACCOUNTADMIN;",
        f"CREATE ROLE IF NOT EXISTS {identifier(role)};",
        f"CREATE WAREHOUSE IF NOT EXISTS {wh} WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 INITIALLY_SUSPENDED = TRUE;",
        f"CREATE DATABASE IF NOT EXISTS {db};",
        f"CREATE USER IF NOT EXISTS {identifier(user)} TYPE = SERVICE "
        f"DEFAULT_ROLE = {identifier(role)} DEFAULT_WAREHOUSE = {wh};",
        f"-- ALTER USER {identifier(user)} SET RSA_PUBLIC_KEY = '<the public key, without its BEGIN and END lines>';",
        f"GRANT ROLE {identifier(role)} TO USER {identifier(user)};",
        f"GRANT USAGE ON WAREHOUSE {wh} {to};",
        f"GRANT USAGE ON DATABASE {db} {to};",
        "",
        f"CREATE STORAGE INTEGRATION IF NOT EXISTS {by} TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE",
        f"  STORAGE_AWS_ROLE_ARN = {literal(aws_role_arn)} STORAGE_ALLOWED_LOCATIONS = ({locations});",
    ]
    for schema in schemas:
        where = identifier(database, schema)
        lines += [
            "",
            f"CREATE SCHEMA IF NOT EXISTS {where};",
            f"GRANT USAGE, CREATE TABLE ON SCHEMA {where} {to};",
        ]
        for bucket, stage in stages.items():
            lines += [
                f"CREATE STAGE IF NOT EXISTS {identifier(database, schema, stage)}",
                f"  URL = {literal(f's3://{bucket}/')} STORAGE_INTEGRATION = {by};",
                f"GRANT USAGE ON STAGE {identifier(database, schema, stage)} {to};",
            ]
    lines += [
        "",
        "-- Put STORAGE_AWS_IAM_USER_ARN and STORAGE_AWS_EXTERNAL_ID of its answer into the trust policy of",
        f"-- {' '.join(aws_role_arn.split())}",
        f"DESCRIBE INTEGRATION {by};",
    ]
    return "\n".join(lines) + "\n"
