from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from tests.local_cloud.conftest import Emulator, until


@pytest.fixture(scope="module")
def orders(emulator: Emulator) -> Emulator:
    emulator.client("s3").create_bucket(Bucket="lake-of-tests")
    login = {"region": "us-east-1", "access-key-id": "test", "secret-access-key": "test"}
    properties = {f"{service}.{key}": value for service in ("glue", "s3") for key, value in login.items()}
    properties |= {f"{service}.endpoint": emulator.server.address for service in ("glue", "s3")}
    catalog = load_catalog("tests", type="glue", **properties)
    catalog.create_namespace("curated")
    rows = pa.table(
        {
            "key": pa.array([1, 2, 3], pa.int64()),
            "price": pa.array(
                [Decimal("0.10"), Decimal("99999999999999999999999999999999.20"), None], pa.decimal128(38, 2)
            ),
            "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None]),
            "at": pa.array([datetime(2024, 5, 6, 7, 8, 9, 10, UTC), None, None], pa.timestamp("us", "UTC")),
            "note": pa.array(['line\nbreak, "quoted"', "", None]),
        }
    )
    table = catalog.create_table("curated.orders", rows.schema, location="s3://lake-of-tests/orders")
    table.append(rows)
    return emulator


def test_stored_values_are_answered_exactly(orders: Emulator) -> None:
    assert _answer(orders, "SELECT * FROM orders ORDER BY key") == [
        ["key", "price", "day", "at", "note"],
        ["1", "0.10", "0001-01-01", "2024-05-06 07:08:09.000010 UTC", 'line\nbreak, "quoted"'],
        ["2", "99999999999999999999999999999999.20", "9999-12-31", None, ""],
        ["3", None, None, None, None],
    ]


def test_trino_sql_over_a_qualified_name_sums_decimals_exactly(orders: Emulator) -> None:
    sql = "SELECT count(*), sum(price) AS total FROM awsdatacatalog.curated.orders o WHERE o.key IN (1, 2)"
    assert _answer(orders, sql, database="default") == [
        ["_col0", "total"],
        ["2", "99999999999999999999999999999999.30"],
    ]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM missing", "Table 'awsdatacatalog.curated.missing' does not exist"),
        ("SELECT FROM WHERE", "line 1:"),
        ("SHOW TABLES", "SHOW is not supported"),
    ],
)
def test_a_query_that_cannot_be_answered_fails_with_the_reason(orders: Emulator, sql: str, reason: str) -> None:
    status = _executed(orders, sql, database="curated")["Status"]
    assert status["State"] == "FAILED"
    assert reason in status["StateChangeReason"]


def _answer(emulator: Emulator, sql: str, *, database: str = "curated") -> list[list[str | None]]:
    execution = _executed(emulator, sql, database=database)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    result = emulator.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    return [[value.get("VarCharValue") for value in row["Data"]] for row in result["ResultSet"]["Rows"]]


def _executed(emulator: Emulator, sql: str, *, database: str) -> Any:
    athena = emulator.client("athena")
    query = athena.start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": "s3://lake-of-tests/answers/"},
    )["QueryExecutionId"]
    return until(
        lambda: athena.get_query_execution(QueryExecutionId=query)["QueryExecution"],
        lambda execution: execution["Status"]["State"] in ("SUCCEEDED", "FAILED"),
    )
