"""Names, literals, the one-time SQL and the login: nothing becomes SQL that should not, and no key becomes text."""

import pytest

from etl_model.environment import SnowflakeConnection
from etl_runtime.errors import EtlError
from etl_runtime.warehouse.account_setup import setup_sql
from etl_runtime.warehouse.connection import connect, query
from etl_runtime.warehouse.identifiers import identifier, literal, warehouse_name
from etl_runtime.warehouse.model import WarehouseColumn, WarehouseTable
from tests.warehouse.conftest import Account

CONNECTION = SnowflakeConnection(
    kind="snowflake", account="acme", warehouse="ETL", role="ETL", secret="etl/snowflake", storage_integration="LAKE"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "ORDERS"),
        ("_etl_op", "_ETL_OP"),
        ("ORDERS", "ORDERS"),
        ("Order Id", "Order Id"),
        ("2024", "2024"),
        ("größe", "größe"),
    ],
)
def test_a_plain_lowercase_name_is_uppercase_and_any_other_stays(name: str, expected: str) -> None:
    assert warehouse_name(name) == expected


def test_a_quote_in_a_name_or_a_value_stays_in_it() -> None:
    assert identifier("db", 'x"; drop table y; --') == '"DB"."x""; drop table y; --"'
    assert literal("it's \\' or") == "'it''s \\\\'' or'"


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b"])
def test_a_name_that_snowflake_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no Snowflake name"):
        identifier(name)


def test_a_type_without_a_place_is_named_with_its_column() -> None:
    with pytest.raises(ValueError, match=r"column tags: type array<string> has no place"):
        WarehouseColumn("tags", "array<string>")


def test_columns_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in case only"):
        WarehouseTable("t", (WarehouseColumn("a", "int"), WarehouseColumn("A", "int")))


def test_a_private_key_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(EtlError) as refused:
        connect(CONNECTION, {"user": "ETL", "private_key": "hunter2"})
    assert "etl/snowflake: private_key is not" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_secret_without_a_user_names_what_it_lacks() -> None:
    with pytest.raises(EtlError, match="it lacks user and private_key"):
        connect(CONNECTION, {})


def test_a_query_gives_names_and_rows_and_a_wrong_one_an_error(account: Account) -> None:
    session = account.connect()
    try:
        assert query(session, "select 1 as a, 'x' as b") == (("A", "B"), [(1, "x")])
        with pytest.raises(EtlError, match="NOPE"):
            query(session, "select * from nope")
    finally:
        session.close()


def test_the_one_time_sql_makes_the_integration_a_stage_per_bucket_and_the_grants() -> None:
    sql = setup_sql(
        database="ANALYTICS",
        schemas=["SALES"],
        warehouse="ETL",
        role="ETL_LOADER",
        user="ETL",
        integration="ETL_LAKE",
        aws_role_arn="arn:aws:iam::111122223333:role/snowflake",
        stages={"etl-prod-curated": "ETL_CURATED", "etl-prod-analytics": "ETL_ANALYTICS"},
    )
    for expected in [
        "STORAGE_ALLOWED_LOCATIONS = ('s3://etl-prod-curated/', 's3://etl-prod-analytics/')",
        'CREATE STAGE IF NOT EXISTS "ANALYTICS"."SALES"."ETL_CURATED"\n'
        "  URL = 's3://etl-prod-curated/' STORAGE_INTEGRATION = \"ETL_LAKE\";",
        'GRANT USAGE, CREATE TABLE ON SCHEMA "ANALYTICS"."SALES" TO ROLE "ETL_LOADER";',
        'GRANT USAGE ON STAGE "ANALYTICS"."SALES"."ETL_ANALYTICS" TO ROLE "ETL_LOADER";',
    ]:
        assert expected in sql
