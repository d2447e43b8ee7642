"""DQDL rules judged on small tables: which rows fail which rule, and how whole tables do."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from etl_model.dqdl import parse
from etl_runtime.quality import (
    QualityRuleError,
    RuleOutcome,
    Subject,
    dataset_aggregates,
    dataset_outcomes,
    failed_row_rules,
    judge,
    require_columns,
    row_aggregates,
    row_outcomes,
    shares_the_pass,
)

NOW = datetime(2024, 6, 30, 12, 30, 45, tzinfo=UTC)


def table(spark: SparkSession, kind: str, values: list[Any], name: str = "v") -> DataFrame:
    quoted = "`" + name.replace("`", "``") + "`"
    return spark.createDataFrame([(value,) for value in values], f"{quoted} {kind}")


def passing(df: DataFrame, rule: str) -> list[Any]:
    """The first column of the rows that pass a row rule."""
    ruleset = parse(f"Rules = [ {rule} ]")
    rows = df.select(df.columns[0] if df.columns[0].isalnum() else "*", _failed(df, rule).alias("failed")).collect()
    for row in rows:
        assert row["failed"] in ([], [ruleset.rules[0].text])
    return [row[0] for row in rows if not row["failed"]]


def outcomes(df: DataFrame, *rules: str) -> list[tuple[str, int, str]]:
    ruleset = parse(f"Rules = [ {', '.join(rules)} ]")
    judged = dataset_outcomes(df, ruleset.rules, now=NOW)
    assert [outcome.rule for outcome in judged] == [rule.text for rule in ruleset.rules]
    return [(outcome.outcome, outcome.failed_rows, outcome.observed) for outcome in judged]


def refusal(df: DataFrame, rule: str) -> str:
    with pytest.raises(QualityRuleError) as refused:
        _failed(df, rule)
    return str(refused.value)


def _failed(df: DataFrame, rule: str) -> Any:
    return failed_row_rules(parse(f"Rules = [ {rule} ]"), Subject(df.schema, NOW))


def test_each_row_lists_the_rules_it_fails_in_their_order(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [(1, 5.0, "DE"), (None, -1.0, "XX"), (3, None, None)], "k int, price double, land string"
    )
    ruleset = parse("""Rules = [
        IsComplete "k", ColumnValues "price" >= 0, ColumnValues "land" in ["DE", "FR", NULL], RowCount > 100
    ]""")
    failed = failed_row_rules(ruleset, Subject(df.schema, NOW)).alias("failed")
    result = df.select("*", failed)
    assert [row["failed"] for row in result.collect()] == [
        [],
        ['IsComplete "k"', 'ColumnValues "price" >= 0', 'ColumnValues "land" in ["DE", "FR", NULL]'],
        ['ColumnValues "price" >= 0'],
    ]
    assert result.schema["failed"].dataType.simpleString() == "array<string>"
    aggregates = row_aggregates(ruleset, failed)
    counted = df.agg(*(column.alias(name) for name, column in aggregates.items())).collect()[0]
    assert row_outcomes(ruleset, counted) == [
        RuleOutcome('IsComplete "k"', "failed", 1, "1 of 3 rows fail"),
        RuleOutcome('ColumnValues "price" >= 0', "failed", 2, "2 of 3 rows fail"),
        RuleOutcome('ColumnValues "land" in ["DE", "FR", NULL]', "failed", 1, "1 of 3 rows fail"),
    ]


def test_without_row_rules_every_row_passes(spark: SparkSession) -> None:
    df = table(spark, "int", [1])
    result = df.select(_failed(df, "RowCount > 0"))
    assert result.collect()[0][0] == []
    assert result.schema[0].dataType.simpleString() == "array<string>"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("= 2", [2]),
        ("!= 2", [None, 1, 3, 4]),
        ("> 2", [3, 4]),
        ("> 2.5", [3, 4]),
        (">= 2.5", [3, 4]),
        ("< 2.5", [1, 2]),
        ("<= 2", [1, 2]),
        ("= 2.5", []),
        ("!= 2.5", [None, 1, 2, 3, 4]),
        ("< 99999999999", [1, 2, 3, 4]),
        ("> -99999999999", [1, 2, 3, 4]),
        ("> 99999999999", []),
        ("between 1 and 4", [2, 3]),
        ("not between 1 and 4", [1, 4]),
        ("in [1, 4]", [1, 4]),
        ("in [1, NULL]", [None, 1]),
        ("not in [1, 4]", [None, 2, 3]),
        ("not in [1, 4, NULL]", [2, 3]),
        ("= NULL", [None]),
        ("!= NULL", [1, 2, 3, 4]),
    ],
)
def test_numbers_are_compared_and_null_fails_all_but_negations(
    spark: SparkSession, condition: str, expected: list[int | None]
) -> None:
    assert passing(table(spark, "int", [None, 1, 2, 3, 4]), f'ColumnValues "v" {condition}') == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('= "a"', ["a"]),
        ('!= "a"', [None, "", "  ", "ab", "a'\\"]),
        ('in ["a", EMPTY]', ["", "a"]),
        ('not in ["a", WHITESPACES_ONLY]', [None, "", "ab", "a'\\"]),
        ("= WHITESPACES_ONLY", ["  "]),
        ("!= EMPTY", [None, "  ", "a", "ab", "a'\\"]),
        ('= "a\'\\\\"', ["a'\\"]),
        ('matches "a"', ["a"]),
        ('matches "a|ab"', ["a", "ab"]),
        ('matches "a.*"', ["a", "ab", "a'\\"]),
        ('matches "\\\\s+"', []),
        ('matches "\\s+"', ["  "]),
        ('not matches "a.*"', ["", "  "]),
    ],
)
def test_strings_are_compared_whole(spark: SparkSession, condition: str, expected: list[str | None]) -> None:
    df = table(spark, "string", [None, "", "  ", "a", "ab", "a'\\"])
    assert passing(df, f'ColumnValues "v" {condition}') == expected


def test_a_decimal_is_compared_with_the_number_as_written(spark: SparkSession) -> None:
    tenths = [Decimal("0.09"), Decimal("0.10"), Decimal("0.11")]
    df = table(spark, "decimal(10,2)", tenths)
    assert passing(df, 'ColumnValues "v" = 0.1') == [Decimal("0.10")]
    assert passing(df, 'ColumnValues "v" >= 0.1000000000000000000000000000000000000001') == [Decimal("0.11")]
    assert passing(df, 'ColumnValues "v" > -0.1') == tenths
    largest, smallest = Decimal("9" * 38), Decimal("-" + "9" * 38)
    wide = table(spark, "decimal(38,0)", [largest, smallest, Decimal(0)])
    assert passing(wide, 'ColumnValues "v" > 0.1') == [largest]
    assert passing(wide, f'ColumnValues "v" < {largest}.5') == [largest, smallest, Decimal(0)]
    assert passing(wide, f'ColumnValues "v" = {smallest}') == [smallest]
    assert passing(wide, f'ColumnValues "v" > {smallest}.5') == [largest, smallest, Decimal(0)]
    assert passing(wide, f'ColumnValues "v" in [{largest}, 0]') == [largest, Decimal(0)]
    assert passing(wide, f'ColumnValues "v" not in [{largest}0]') == [largest, smallest, Decimal(0)]
    assert passing(table(spark, "bigint", [2**63 - 1, -(2**63)]), f'ColumnValues "v" > {2**53}.5') == [2**63 - 1]


def test_floats_compare_as_floats_and_nan_has_no_order(spark: SparkSession) -> None:
    df = table(spark, "float", [0.1, float("nan"), None])
    assert len(passing(df, 'ColumnValues "v" = 0.1')) == 1
    assert len(passing(df, 'ColumnValues "v" >= 0')) == 1
    assert len(passing(df, 'ColumnValues "v" != 0.1')) == 2


def test_dates_are_compared_with_written_dates_and_with_now(spark: SparkSession) -> None:
    days = [date(2024, 6, 27), date(2024, 6, 28), date(2024, 6, 30), None]
    df = table(spark, "date", days)
    assert passing(df, 'ColumnValues "v" > "2024-06-27"') == days[1:3]
    assert passing(df, 'ColumnValues "v" in ["2024-06-27", NULL]') == [days[0], None]
    assert passing(df, 'ColumnValues "v" > (now() - 3 days)') == days[1:3]
    assert passing(df, 'ColumnValues "v" between "2024-06-27" and (now() + 1 days)') == days[1:3]
    assert passing(df, 'ColumnValues "v" = now()') == [days[2]]


@pytest.mark.parametrize("kind", ["timestamp", "timestamp_ntz"])
def test_a_written_date_is_the_whole_day_of_a_timestamp_and_now_its_minute(spark: SparkSession, kind: str) -> None:
    texts = ["2024-06-29 23:59:00", "2024-06-30 00:00:00", "2024-06-30 09:30:00", "2024-06-30 12:30:00"]
    df = table(spark, "string", texts).selectExpr("v", f"cast(v as {kind}) as t")
    assert passing(df, 'ColumnValues "t" = "2024-06-30"') == texts[1:]
    assert passing(df, 'ColumnValues "t" > "2024-06-29"') == texts[1:]
    assert passing(df, 'ColumnValues "t" > (now() - 3 hours)') == texts[3:]
    assert passing(df, 'ColumnValues "t" >= (now() - 3 hours)') == texts[2:]
    assert passing(df, 'ColumnValues "t" = now()') == texts[3:]


def test_now_is_the_same_moment_in_every_session_time_zone(spark: SparkSession) -> None:
    df = table(spark, "string", ["2024-06-30 09:29:59Z", "2024-06-30 09:30:00Z"]).selectExpr("v", "timestamp(v) as t")
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        assert passing(df, 'ColumnValues "t" >= (now() - 3 hours)') == ["2024-06-30 09:30:00Z"]
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))


def test_booleans_are_compared_with_quoted_words(spark: SparkSession) -> None:
    assert passing(table(spark, "boolean", [True, False, None]), 'ColumnValues "v" in ["true"]') == [True]


def test_a_null_string_has_length_zero(spark: SparkSession) -> None:
    df = table(spark, "string", [None, "", "ab", "äöü", "12345"])
    assert passing(df, 'ColumnLength "v" < 3') == [None, "", "ab"]
    assert passing(df, 'ColumnLength "v" > 0') == ["ab", "äöü", "12345"]
    assert passing(df, 'ColumnLength "v" between 2 and 5') == ["äöü"]
    assert passing(df, 'ColumnLength "v" in [0, 5]') == [None, "", "12345"]
    assert passing(df, 'ColumnLength "v" = 2.5') == []
    assert "v is int, and ColumnLength needs a string column" in refusal(
        table(spark, "int", [1]), 'ColumnLength "v" > 0'
    )


def test_combined_rules_decide_row_by_row(spark: SparkSession) -> None:
    df = table(spark, "int", [None, 20, 22])
    assert passing(df, '(ColumnValues "v" > 21) OR (ColumnValues "v" = NULL)') == [None, 22]
    assert passing(df, '(ColumnValues "v" != 21) AND ((ColumnValues "v" != NULL) and (ColumnValues "v" < 22))') == [20]


def test_rows_outside_the_filter_pass(spark: SparkSession) -> None:
    df = spark.createDataFrame([(1, "DE"), (-1, "DE"), (-2, 'F"R'), (-3, None)], "v int, land string")
    assert passing(df, 'ColumnValues "v" > 0 where "land = \'DE\'"') == [1, -2, -3]
    assert passing(df, 'ColumnValues "v" > 0 where "land = \'F\\"R\'"') == [1, -1, -3]
    assert "where is not a Spark SQL condition" in refusal(df, 'ColumnValues "v" > 0 where "land = = 1"')


@pytest.mark.parametrize("name", ["a.b", "a b", "a`b", 'a"b', "a'b", "select", "größe", "a\\b"])
def test_a_column_may_have_any_name(spark: SparkSession, name: str) -> None:
    df = table(spark, "int", [1, None], name)
    written = name.replace("\\", "\\\\").replace('"', '\\"')
    assert len(passing(df, f'ColumnValues "{written}" = 1')) == 1
    assert outcomes(df, f'Completeness "{written}" = 0.5', f'IsUnique "{written}"', f'Sum "{written}" = 1') == [
        ("passed", 0, "0.5 (1 of 2 rows are values)"),
        ("passed", 0, "0 of 1 rows share their value with another"),
        ("passed", 0, "1"),
    ]


def test_columns_are_found_without_regard_to_case(spark: SparkSession) -> None:
    df = table(spark, "int", [1, None])
    assert passing(df, 'IsComplete "V"') == [1]
    assert outcomes(df, 'Completeness "V" = 0.5', 'ColumnExists "V"')[0][0] == "passed"


@pytest.mark.parametrize(
    ("kind", "rule", "why"),
    [
        ("string", 'ColumnValues "v" > 5', "column v is string, and it cannot be compared with the number 5 by >"),
        ("string", 'ColumnValues "v" > "2024-01-01"', "strings have no order; cast the column to a date"),
        ("string", 'ColumnValues "v" > now()', "column v is string, and it cannot be compared with now() by >"),
        ("int", 'ColumnValues "v" in ["1"]', 'column v is int, and it cannot be compared with the string "1"'),
        ("int", 'ColumnValues "v" = EMPTY', "it cannot be compared with EMPTY"),
        ("int", 'ColumnValues "v" matches "1"', 'it cannot be compared with the string "1" by matches'),
        ("decimal(9,2)", 'ColumnValues "v" >= "2024-01-01"', "column v is decimal(9,2), and it cannot be compared"),
        ("date", 'ColumnValues "v" > 20240101', "column v is date, and it cannot be compared with the number 20240101"),
        ("date", 'ColumnValues "v" = "June"', 'the string "June" is not a date; write it as "YYYY-MM-DD"'),
        ("timestamp", 'ColumnValues "v" matches "2024-01-01"', "is not a date"),
        ("boolean", 'ColumnValues "v" = "yes"', "column v is boolean"),
        ("binary", 'ColumnValues "v" = "x"', "column v is binary"),
        ("array<int>", 'ColumnValues "v" = 1', "column v is array<int>"),
    ],
)
def test_a_rule_that_does_not_fit_the_type_names_rule_and_column(
    spark: SparkSession, kind: str, rule: str, why: str
) -> None:
    message = refusal(table(spark, kind, []), rule)
    assert message.startswith(f"rule {rule}: column v is {kind}, and ")
    assert why in message
    assert message.endswith("change the rule, or cast the column in the pipeline file")


def test_one_error_lists_all_missing_columns_and_those_present(spark: SparkSession) -> None:
    df = table(spark, "int", [1])
    ruleset = parse('Rules = [ IsComplete "a", ColumnValues "b" > 0, ColumnLength "a" > 1, IsUnique "v" ]')
    with pytest.raises(QualityRuleError) as refused:
        failed_row_rules(ruleset, Subject(df.schema, NOW))
    assert str(refused.value) == (
        "the checks name 2 column(s) that the table lacks:\n"
        '  a, needed by IsComplete "a"; ColumnLength "a" > 1\n'
        '  b, needed by ColumnValues "b" > 0\n'
        "the table has: v"
    )
    require_columns(ruleset, ["A", "B", "v"])


def test_a_clock_without_a_time_zone_is_refused(spark: SparkSession) -> None:
    df = table(spark, "date", [])
    with pytest.raises(ValueError, match="has no time zone"):
        failed_row_rules(parse('Rules = [ ColumnValues "v" > now() ]'), Subject(df.schema, datetime(2024, 1, 1)))


def test_dataset_rules_measure_the_table(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [(1, "DE", Decimal("0.10"), 0), (2, "DE", Decimal("0.20"), None), (2, None, None, 20), (4, "FR", None, 40)],
        "k int, land string, price decimal(38,2), units int",
    )
    assert outcomes(
        df,
        "RowCount between 3 and 5",
        'RowCount = 1 where "k = 1"',
        "ColumnCount = 5",
        'ColumnExists "LAND"',
        'ColumnExists "city"',
        'Completeness "land" > 0.8',
        'Completeness "land" = 0 where "land is null"',
        'Sum "price" = 0.3',
        'Sum "k" = 9',
        'Mean "k" = 2.25',
        'Mean "price" between 0.14 and 0.16',
        'StandardDeviation "units" between 16.32 and 16.34',
        'ColumnValues "land" in ["DE"] with threshold >= 0.5',
        'ColumnValues "land" in ["DE"] with threshold > 0.5',
    ) == [
        ("passed", 0, "4 rows"),
        ("passed", 0, "1 rows"),
        ("failed", 0, "4 columns"),
        ("passed", 0, "the column exists"),
        ("failed", 0, "the column does not exist"),
        ("failed", 1, "0.75 (3 of 4 rows are values)"),
        ("passed", 0, "0 (0 of 1 rows are values)"),
        ("passed", 0, "0.30"),
        ("passed", 0, "9"),
        ("passed", 0, "2.25"),
        ("passed", 0, "0.15"),
        ("passed", 0, "16.32993161855452"),
        ("passed", 0, "0.5 (2 of 4 rows are rows that pass)"),
        ("failed", 2, "0.5 (2 of 4 rows are rows that pass)"),
    ]


def test_uniqueness_counts_exactly_and_ignores_rows_without_a_value(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [(1, "a"), (2, "a"), (2, "a"), (3, None), (None, None), (None, None)], "k int, land string"
    )
    assert outcomes(
        df,
        'IsUnique "k"',
        'IsUnique "k" where "k <> 2"',
        'IsUnique "k" "land"',
        'IsPrimaryKey "k"',
        'IsPrimaryKey "k" where "k is not null and k <> 2"',
        'IsPrimaryKey "k" "land" where "k in (1, 3)"',
        'Uniqueness "k" = 0.5',
        'Uniqueness "k" > 0.5',
        'DistinctValuesCount "k" = 4',
        'DistinctValuesCount "land" = 1 where "land is not null"',
        '(IsUnique "land") or (RowCount > 5)',
        '(IsUnique "land") and (IsComplete "k")',
    ) == [
        ("failed", 2, "2 of 4 rows share their value with another"),
        ("passed", 0, "0 of 2 rows share their value with another"),
        ("failed", 2, "2 of 4 rows share their value with another"),
        ("failed", 4, "4 rows have a NULL or share their value with another"),
        ("passed", 0, "0 rows have a NULL or share their value with another"),
        ("failed", 1, "1 rows have a NULL or share their value with another"),
        ("passed", 0, "0.5 (2 of 4 rows have a value of their own)"),
        ("failed", 2, "0.5 (2 of 4 rows have a value of their own)"),
        ("passed", 0, "4 distinct values"),
        ("passed", 0, "1 distinct values"),
        ("passed", 0, "3 of 3 rows share their value with another; 6 rows"),
        ("failed", 3, "3 of 3 rows share their value with another; 2 of 6 rows fail"),
    ]


def test_an_empty_table_breaks_only_rules_that_ask_for_something(spark: SparkSession) -> None:
    judged = outcomes(
        table(spark, "int", []),
        "RowCount = 0",
        'IsUnique "v"',
        'IsPrimaryKey "v"',
        'Uniqueness "v" = 1',
        'Completeness "v" > 0.9',
        'ColumnValues "v" > 0 with threshold > 0.9',
        'DistinctValuesCount "v" > 0',
        'Sum "v" = 0',
        'Mean "v" < 5',
    )
    assert [outcome for outcome, _, _ in judged] == ["passed"] * 6 + ["failed"] * 3
    assert judged[-1][2] == "the column has no values"


def test_a_sum_is_exact_beyond_a_bigint(spark: SparkSession) -> None:
    df = table(spark, "bigint", [2**63 - 1, 2**63 - 1, 1])
    assert outcomes(df, f'Sum "v" = {2**64 - 1}', f'Sum "v" = {2**64}') == [
        ("passed", 0, str(2**64 - 1)),
        ("failed", 0, str(2**64 - 1)),
    ]


def test_rules_on_the_same_columns_share_measures_and_one_pass(spark: SparkSession) -> None:
    df = table(spark, "int", [1, 2, 2])
    ruleset = parse('Rules = [ RowCount > 0, Completeness "v" > 0.5, Mean "v" > 0, Sum "v" < 9, ColumnCount = 1 ]')
    aggregates = dataset_aggregates(ruleset.rules, Subject(df.schema, NOW))
    assert sorted(aggregates) == ["columns", "rows", "sum v", "values v"]
    observation = Observation()
    seen = df.observe(observation, *(column.alias(name) for name, column in aggregates.items()))
    assert seen.count() == 3
    assert [outcome.outcome for outcome in judge(ruleset.rules, observation.get)] == ["passed"] * 5


def test_rules_that_count_equal_values_are_told_apart(spark: SparkSession) -> None:
    unique, rows = parse('Rules = [ (IsUnique "v") and (RowCount > 0), RowCount > 0 ]').rules
    assert (shares_the_pass(unique), shares_the_pass(rows)) == (False, True)
    with pytest.raises(ValueError, match="judge it with dataset_outcomes"):
        judge([unique], {"rows": 1})


def test_numbers_are_needed_for_sums(spark: SparkSession) -> None:
    with pytest.raises(QualityRuleError, match="column v is string, and Sum needs numbers"):
        outcomes(table(spark, "string", []), 'Sum "v" > 0')
