"""`etl query`: only reads pass, values are exact, NULL is told apart, plain names are those of the pipeline."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from rich.console import Console
from typer.testing import Result

from operations.failures import OperationError
from operations.query import Column, QueryResult, query
from operations.query_output import write_json, write_table
from operations.secret import read_secret
from operations.statements import Dialect, single_read
from operations.target import Target
from operations.values import exact, float_text, timestamp_text


@pytest.mark.parametrize(
    ("sql", "statement"),
    [
        ("SELECT ';' AS a -- ;\n FROM t;", "SELECT ';' AS a -- ;\n FROM t"),
        ("  with a as (select 1) select * from a ; ; ", "  with a as (select 1) select * from a"),
        ("(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"),
        ("SHOW TABLES", "SHOW TABLES"),
        ("DESCRIBE orders", "DESCRIBE orders"),
        ("EXPLAIN SELECT 1", "EXPLAIN SELECT 1"),
        ("SELECT data ->> 'a' FROM t", "SELECT data ->> 'a' FROM t"),
    ],
)
def test_one_reading_statement_passes(sql: str, statement: str) -> None:
    assert single_read(sql, dialect="postgres") == statement


@pytest.mark.parametrize("dialect", ["athena", "snowflake", "postgres"])
@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ; ",
        "-- nothing",
        "DELETE FROM t",
        "INSERT INTO t VALUES (1)",
        "COMMIT",
        "SELECT 1; DROP TABLE t",
        "CALL p()",
        "SET a = 1",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        "EXECUTE IMMEDIATE 'DROP TABLE t'",
        "SELECT 'unfinished",
        "VACUUM t",
        "COPY t TO 'x'",
        "/* SELECT */ TRUNCATE t",
        "SHOWX",
    ],
)
def test_nothing_else_passes(sql: str, dialect: Dialect) -> None:
    with pytest.raises(OperationError):
        single_read(sql, dialect=dialect)


def test_statements_chained_in_snowflakes_way_do_not_pass() -> None:
    with pytest.raises(OperationError, match="chained"):
        single_read("SELECT 1 ->> DROP TABLE t", dialect="snowflake")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, True),
        (12345678901234567890, 12345678901234567890),
        (Decimal("1E+2"), "100"),
        (Decimal("0.10"), "0.10"),
        (0.1, "0.1"),
        (float("inf"), "inf"),
        (b"\x00\xff", "00ff"),
        ("", ""),
        (date(1, 1, 1), "0001-01-01"),
        (datetime(9999, 12, 31, 23, 59, 59, 250000), "9999-12-31 23:59:59.25"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04:05+00:00"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-8))), "2026-01-02 03:04:05-08:00"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
    ],
)
def test_values_are_exact(value: object, text: object) -> None:
    assert exact(value) == text


def test_the_same_value_is_written_the_same_way_by_every_engine() -> None:
    athena, postgres, spark = "2026-01-02 03:04:05.250000 UTC", "2026-01-02 03:04:05.25+00", "2026-01-02T03:04:05.250Z"
    assert {timestamp_text(text) for text in (athena, postgres, spark)} == {"2026-01-02 03:04:05.25+00:00"}
    assert {float_text(text) for text in ("1.0E10", "10000000000", "1e10")} == {"10000000000.0"}
    assert timestamp_text("not a time") == "not a time"


def test_the_lake_answers_with_typed_values_over_several_pages(target: Target) -> None:
    columns = [("id", "bigint"), ("total", "decimal"), ("open", "boolean"), ("note", "varchar"), ("at", "timestamp"),
               ("rate", "double"), ("data", "varbinary")]  # fmt: skip
    described = {"ColumnInfo": [{"Name": name, "Type": kind} for name, kind in columns]}
    header = [name for name, _ in columns]
    first = ["1", "0.10", "true", "", "2026-01-02 03:04:05.000", "1.0E-1", "00 FF"]
    with Stubber(target.athena) as stub:
        stub.add_response(
            "start_query_execution",
            {"QueryExecutionId": "q"},
            {
                "QueryString": "SELECT * FROM orders",
                "QueryExecutionContext": {"Database": "sandbox_shop_curated"},
                "ResultConfiguration": {"OutputLocation": f"s3://{target.names.bucket('logs')}/queries/"},
            },
        )
        for state in ("QUEUED", "RUNNING", "SUCCEEDED"):
            stub.add_response("get_query_execution", {"QueryExecution": {"Status": {"State": state}}})
        page = {"ResultSetMetadata": described, "Rows": [_athena_row(header), _athena_row(first)]}
        stub.add_response("get_query_results", {"ResultSet": page, "NextToken": "2"})
        page = {"ResultSetMetadata": described, "Rows": [_athena_row([None] * 7)]}
        stub.add_response("get_query_results", {"ResultSet": page})
        result = query(target, "SELECT * FROM orders;", on="lake", pipeline_name="shop")
        assert list(result.rows) == [
            (1, "0.10", True, "", "2026-01-02 03:04:05", "0.1", "00ff"),
            (None, None, None, None, None, None, None),
        ]
    assert result.columns[1] == Column(name="total", type="decimal")


def test_a_statement_that_the_lake_refuses_is_told_in_its_words(target: Target) -> None:
    failed = {"Status": {"State": "FAILED", "StateChangeReason": "line 1:15: Table 'ordrs' does not exist"}}
    with Stubber(target.athena) as stub:
        stub.add_response("start_query_execution", {"QueryExecutionId": "q"}, ANY_REQUEST)
        stub.add_response("get_query_execution", {"QueryExecution": failed})
        with pytest.raises(
            OperationError, match=r"Table 'ordrs' does not exist\. Plain names are looked up in sandbox_shop"
        ):
            query(target, "SELECT * FROM ordrs", on="lake")


ANY_REQUEST = {"QueryString": ANY, "QueryExecutionContext": ANY, "ResultConfiguration": ANY}


def test_a_place_that_is_not_there_is_answered_with_those_that_are(target: Target) -> None:
    with pytest.raises(OperationError, match=r"no 'crm'\. Use one of: lake, warehouse, erp, snowflake"):
        query(target, "SELECT 1", on="crm")


def test_an_unreachable_database_is_a_short_message_without_the_password(
    etl: Callable[..., Result], project: Path, target: Target
) -> None:
    login = {"username": "reader", "password": "s3cret-word"}
    target.secretsmanager.create_secret(Name="etl/erp", SecretString=json.dumps(login))
    file = project / "environments" / "sandbox.yaml"
    file.write_text(file.read_text().replace("host: erp.example.com", "host: erp.invalid"))
    result = etl("query", "SELECT 1", "--on", "erp", "-e", "sandbox", "--json")
    assert result.exit_code == 2
    [error] = json.loads(result.stdout)["errors"]
    assert error["where"] == "connection erp"
    assert "erp.invalid" in error["what"]
    assert "s3cret-word" not in result.output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "it is not in Secrets Manager"),
        ("s3cret-word", "it is not JSON"),
        ('{"username": "a"}', "it has no password"),
    ],
)
def test_a_wrong_secret_is_told_without_its_content(target: Target, content: str | None, words: str) -> None:
    if content is not None:
        target.secretsmanager.create_secret(Name="etl/erp", SecretString=content)
    with pytest.raises(OperationError, match=words) as raised:
        read_secret(target, "etl/erp", keys=("username", "password"))
    assert "s3cret-word" not in str(raised.value)


def test_json_output_tells_null_from_empty_and_keeps_numbers_exact() -> None:
    stream = io.StringIO()
    rows = [(1, None, "0.10"), (2, "", "1e400")]
    write_json(_result(("id", "note", "total"), rows), stream, on="lake")
    assert stream.getvalue() == (
        '{"on": "lake", "columns": [{"name": "id", "type": "text"}, {"name": "note", "type": "text"}, '
        '{"name": "total", "type": "text"}], "rows": [\n[1, null, "0.10"],\n[2, "", "1e400"]\n], "row_count": 2}\n'
    )
    assert json.loads(stream.getvalue())["rows"] == [list(row) for row in rows]


def test_json_output_without_rows_is_a_document_too() -> None:
    stream = io.StringIO()
    write_json(_result(("id",), []), stream, on="erp")
    assert json.loads(stream.getvalue())["rows"] == []


def test_a_table_in_a_pipe_is_as_wide_as_its_values() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    write_table(_result(("id", "note"), [(1, "x" * 200), (2, None), (3, ""), (4, "a\nb\x1b[31m")]), console)
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "id  note",
        "─" * 204,
        f"1   {'x' * 200}",
        "2   NULL",
        "3   ''",
        "4   a\\nb\\x1b[31m",
        "4 rows",
    ]


def test_a_table_says_when_there_are_more_rows() -> None:
    stream = io.StringIO()
    write_table(_result(("id",), [(1,), (2,), (3,)]), Console(file=stream, width=80), max_rows=2)
    assert stream.getvalue().splitlines()[-1] == "the first 2 rows; more with --max-rows, all with --json"


def _result(names: tuple[str, ...], rows: list[Any]) -> QueryResult:
    return QueryResult(columns=tuple(Column(name=name, type="text") for name in names), rows=iter(rows))


def _athena_row(values: list[Any]) -> dict[str, Any]:
    return {"Data": [{} if value is None else {"VarCharValue": value} for value in values]}
