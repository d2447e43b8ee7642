"""The DQDL parser: what it reads, how it names rules, and what it says of text that it refuses."""

from datetime import timedelta
from decimal import Decimal

import pytest

from etl_model.dqdl import (
    Check,
    Composite,
    Condition,
    DqdlError,
    Keyword,
    Now,
    Operand,
    Operator,
    Rule,
    columns,
    missing_columns,
    parse,
)


def only(rule: str) -> Rule:
    (read,) = parse(f"Rules = [ {rule} ]").rules
    return read


def check(rule: str) -> Check:
    test = only(rule).test
    assert isinstance(test, Check)
    return test


def refusal(text: str) -> str:
    with pytest.raises(DqdlError) as refused:
        parse(text)
    return str(refused.value)


def test_a_ruleset_keeps_the_order_and_the_text_of_its_rules() -> None:
    ruleset = parse("""
        # what finance asked for
        Rules = [
            IsComplete "o_orderkey", IsUnique "o_orderkey",   # the key
            ColumnValues   "o_totalprice"
                >= 0,
            RowCount > 0
        ]
    """)
    assert [rule.text for rule in ruleset.rules] == [
        'IsComplete "o_orderkey"',
        'IsUnique "o_orderkey"',
        'ColumnValues "o_totalprice" >= 0',
        "RowCount > 0",
    ]
    assert [rule.kind for rule in ruleset.rules] == ["row", "dataset", "row", "dataset"]
    assert [rule.text for rule in ruleset.row_rules] == ['IsComplete "o_orderkey"', 'ColumnValues "o_totalprice" >= 0']
    assert [rule.text for rule in ruleset.dataset_rules] == ['IsUnique "o_orderkey"', "RowCount > 0"]


@pytest.mark.parametrize(
    ("written", "operator", "operands"),
    [
        ("= 5", Operator.EQUAL, (Decimal(5),)),
        ("!= -5", Operator.NOT_EQUAL, (Decimal(-5),)),
        ("= -" + "9" * 38, Operator.EQUAL, (Decimal("-" + "9" * 38),)),
        ("> 0.1", Operator.GREATER, (Decimal("0.1"),)),
        (">= 12345678901234567890.12", Operator.GREATER_OR_EQUAL, (Decimal("12345678901234567890.12"),)),
        ("<1", Operator.LESS, (Decimal(1),)),
        ('<= "2024-02-29"', Operator.LESS_OR_EQUAL, ("2024-02-29",)),
        ("between 1 and 2.5", Operator.BETWEEN, (Decimal(1), Decimal("2.5"))),
        ("not between -3 and -2", Operator.NOT_BETWEEN, (Decimal(-3), Decimal(-2))),
        ('in ["a", "b,]", NULL]', Operator.IN, ("a", "b,]", Keyword.NULL)),
        ("not in [1, 2, null]", Operator.NOT_IN, (Decimal(1), Decimal(2), Keyword.NULL)),
        ('= "it is \\"so\\", a\\\\b # here"', Operator.EQUAL, ('it is "so", a\\b # here',)),
        ("= EMPTY", Operator.EQUAL, (Keyword.EMPTY,)),
        ("!= whitespaces_only", Operator.NOT_EQUAL, (Keyword.WHITESPACES_ONLY,)),
        ('matches "[a-z]+\\d{2}\\\\\\""', Operator.MATCHES, ('[a-z]+\\d{2}\\\\"',)),
        ('not matches ".*@.*"', Operator.NOT_MATCHES, (".*@.*",)),
        ("> now()", Operator.GREATER, (Now(timedelta()),)),
        ("> (now() - 3 days)", Operator.GREATER, (Now(timedelta(days=-3)),)),
        ("between (now() - 90 minutes) and (now() + 2 hours)", Operator.BETWEEN,
         (Now(timedelta(minutes=-90)), Now(timedelta(hours=2)))),
        ('in ["2024-01-01", NULL, (now() - 1 days)]', Operator.IN, ("2024-01-01", Keyword.NULL, Now(timedelta(-1)))),
    ],
)  # fmt: skip
def test_column_values_takes_every_operator(written: str, operator: Operator, operands: tuple[Operand, ...]) -> None:
    read = check(f'ColumnValues "c" {written}')
    assert read.condition == Condition(operator, operands)
    assert (read.type, read.columns, read.where, read.threshold) == ("ColumnValues", ("c",), None, None)


@pytest.mark.parametrize(
    ("written", "kind", "names"),
    [
        ('IsComplete "a"', "row", ("a",)),
        ("IsComplete a.b_1", "row", ("a.b_1",)),
        ('ColumnLength "a" between 2 and 5', "row", ("a",)),
        ('ColumnValues "a`b\\" c" > 0', "row", ('a`b" c',)),
        ('ColumnExists "a"', "dataset", ("a",)),
        ("ColumnCount = 9", "dataset", ()),
        ("RowCount between 10 and 20", "dataset", ()),
        ('IsUnique "a" "b"', "dataset", ("a", "b")),
        ('IsPrimaryKey a "b" "c"', "dataset", ("a", "b", "c")),
        ('Uniqueness "a" "b" >= 0.99', "dataset", ("a", "b")),
        ('Completeness "a" = 1.0', "dataset", ("a",)),
        ('DistinctValuesCount "a" in [1, 2]', "dataset", ("a",)),
        ('Sum "a" != 0', "dataset", ("a",)),
        ('Mean "a" not between 1 and 2', "dataset", ("a",)),
        ('StandardDeviation "a" < 1.5', "dataset", ("a",)),
        ('ColumnValues "a" in ["x"] with threshold > 0.8', "dataset", ("a",)),
    ],
)
def test_every_supported_rule_type_is_read(written: str, kind: str, names: tuple[str, ...]) -> None:
    read = only(written)
    assert (read.text, read.kind, check(written).columns) == (written, kind, names)


def test_where_and_threshold_follow_the_condition() -> None:
    read = check(
        'ColumnValues "a" > 0 where "country = \\"DE\\" and note rlike \'\\\\d\'" with threshold between 0.2 and 0.9'
    )
    assert read.where == "country = \"DE\" and note rlike '\\\\d'"
    assert read.threshold == Condition(Operator.BETWEEN, (Decimal("0.2"), Decimal("0.9")))


def test_combined_row_rules_judge_rows_and_mixed_ones_the_table() -> None:
    rows = only('(ColumnValues "a" = NULL) or ((ColumnLength "a" > 4) AND (IsComplete "b"))')
    assert isinstance(rows.test, Composite)
    assert (rows.kind, rows.test.connective, len(rows.test.parts)) == ("row", "or", 2)
    inner = rows.test.parts[1]
    assert isinstance(inner, Composite)
    assert inner.connective == "and"
    assert only('(RowCount > 0) and (IsComplete "a")').kind == "dataset"
    assert only('(IsComplete "a") and (ColumnValues "a" > 0 with threshold > 0.5)').kind == "dataset"
    three = only('(IsComplete "a") and (IsComplete "b") and (IsComplete "c")').test
    assert isinstance(three, Composite)
    assert len(three.parts) == 3


def test_a_rule_in_needless_parentheses_is_that_rule() -> None:
    assert check('(IsComplete "a")').type == "IsComplete"


def test_columns_are_those_a_rule_cannot_be_judged_without() -> None:
    assert columns(only('(IsUnique "b" "a") and (Mean "a" > 0) and (ColumnExists "c") and (RowCount > 1)')) == (
        "b",
        "a",
    )


def test_missing_columns_names_the_rules_that_need_them_and_ignores_case() -> None:
    ruleset = parse('Rules = [ IsComplete "a", IsComplete "B", Sum "a" > 0, ColumnExists "z" ]')
    assert missing_columns(ruleset, ["b", "c"]) == {"a": ('IsComplete "a"', 'Sum "a" > 0')}
    assert missing_columns(ruleset, ["A", "b"]) == {}


@pytest.mark.parametrize(
    "name",
    ["CustomSql", "ReferentialIntegrity", "DataFreshness", "ColumnDataType", "DetectAnomalies", "SchemaMatch"],
)
def test_an_unsupported_rule_type_fails_with_its_name_and_the_supported_ones(name: str) -> None:
    assert refusal(f'Rules = [ {name} "x" = 1 ]') == (
        f"line 1, column 11: rule type {name} is not supported; supported rule types: ColumnCount, ColumnExists, "
        "ColumnLength, ColumnValues, Completeness, DistinctValuesCount, IsComplete, IsPrimaryKey, IsUnique, Mean, "
        "RowCount, StandardDeviation, Sum, Uniqueness"
    )


def test_every_mistake_is_reported_with_its_place() -> None:
    with pytest.raises(DqdlError) as refused:
        parse('Rules = [\n  iscomplete "a",\n  IsComplete "ok",\n  ColumnValues "x" in [1, "a"], RowCount\n]')
    assert [(problem.line, problem.column) for problem in refused.value.problems] == [(2, 3), (4, 24), (5, 1)]
    assert refused.value.problems[0].allowed == "write IsComplete"
    assert (
        str(refused.value).splitlines()[2] == "line 5, column 1: RowCount needs a condition; such as RowCount ... > 0"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: the end of the text stands where Rules is expected; write: Rules = [ rule, "),
        ("Rules = []", "the list of rules is empty"),
        ("Rules [ RowCount > 0 ]", "[ stands where = is expected"),
        ("rules = [ RowCount > 0 ]", "rules stands where Rules is expected"),
        ('Metadata = { "Version": "1.0" } Rules = [ RowCount > 0 ]', "Metadata stands where Rules is expected"),
        ("Rules = [ RowCount > 0", "the end of the text is not part of a rule; put a comma between rules and ]"),
        ("Rules = [ RowCount > 0 ] Analyzers = [ RowCount ]", "Analyzers follows the list of rules"),
        ("Rules = [ RowCount > 0, ]", "] stands where a rule is expected"),
        ("Rules = [ RowCount > 0, RowCount  > 0 ]", "the rule RowCount > 0 is listed twice"),
        ('Rules = [ IsComplete "a ]', 'this string never ends; close it with "'),
        ("Rules = [ IsComplete 'a' ]", "' quotes nothing in DQDL; use double quotes"),
        ('Rules = [ IsUnique "a" IsComplete "b" ]', "IsComplete is not part of a rule; put a comma between rules"),
        ("Rules = [ IsUnique ]", "IsUnique takes at least one column"),
        ('Rules = [ IsUnique "a" "a" ]', "IsUnique names a column twice"),
        ('Rules = [ IsComplete "a" "b" ]', "IsComplete takes one column, not 2"),
        ('Rules = [ IsComplete "" ]', "the column has no name"),
        ('Rules = [ IsComplete "a" > 0.5 ]', 'IsComplete takes no condition; write IsComplete "column", or use Comple'),
        ('Rules = [ RowCount "a" > 0 ]', "RowCount takes no column"),
        ('Rules = [ Completeness "a" = "1.0" ]', 'the string "1.0" stands where a number is expected'),
        ('Rules = [ Mean "a" = NULL ]', "NULL stands where a number is expected"),
        ('Rules = [ ColumnLength "a" matches "x" ]', "matches does not apply to a number"),
        ('Rules = [ ColumnValues "a" ]', "ColumnValues needs a condition"),
        ('Rules = [ ColumnValues "a" > "b" ]', 'the string "b" cannot be compared by >; only numbers and dates'),
        ('Rules = [ ColumnValues "a" > "2024-02-30" ]', "only numbers and dates have an order"),
        ('Rules = [ ColumnValues "a" > NULL ]', "NULL cannot be compared by >; use =, !=, in [...] or not in [...]"),
        ('Rules = [ ColumnValues "a" in [] ]', "] stands where a value is expected"),
        ('Rules = [ ColumnValues "a" in [1 2] ]', "2 stands where ] is expected; separate the values with commas"),
        ('Rules = [ ColumnValues "a" in [1, EMPTY] ]', "numbers and strings stand side by side"),
        ('Rules = [ ColumnValues "a" between 1 ]', "] stands where and is expected; write: between low and high"),
        ('Rules = [ ColumnValues "a" between 5 and 5 ]', "no value lies between these two"),
        ('Rules = [ ColumnValues "a" between "2024-02-01" and "2024-01-01" ]', "no value lies between these two"),
        ('Rules = [ ColumnValues "a" BETWEEN 1 and 5 ]', "BETWEEN is not an operator: they are case-sensitive; write"),
        ('Rules = [ ColumnValues "a" not like "x" ]', "not like is not an operator; operators: =, !=,"),
        ('Rules = [ ColumnValues "a" ! 1 ]', "! stands alone; write != for 'not equal'"),
        ('Rules = [ ColumnValues "a" matches x ]', "x stands where a quoted string is expected"),
        ('Rules = [ ColumnValues "a" > (now() - 3 weeks) ]', "weeks is not a unit of time; write: now() or (now()"),
        ('Rules = [ ColumnValues "a" > (now() - x days) ]', "x is not a whole number"),
        ('Rules = [ ColumnValues "a" > (now() 3 days) ]', "3 follows now()"),
        ('Rules = [ ColumnValues "a" > (now() - 9999999999 days) ]', "9999999999 days is too long"),
        ("Rules = [ RowCount > avg(last(10)) ]", "the function avg() is not supported"),
        ("Rules = [ RowCount > 10 * 2 ]", "arithmetic is not supported; write the resulting number"),
        ('Rules = [ ColumnValues "a" in $countries ]', "$ stands where [ is expected"),
        ('Rules = [ ColumnValues "a" = $country ]', "variables are not supported"),
        ('Rules = [ ColumnCount = 3 where "a > 1" ]', "where does not apply to ColumnCount"),
        ('Rules = [ IsComplete "a" where " " ]', "the where filter is empty"),
        ('Rules = [ IsComplete "a" where b ]', "b stands where a quoted string is expected"),
        ('Rules = [ ColumnValues "a" > 0 with threshold > 0.5 where "b" ]', "the order is: condition, where"),
        ('Rules = [ IsComplete "a" with threshold > 0.5 ]', "it applies to ColumnValues; for the share of values that"),
        ('Rules = [ ColumnValues "a" > 0 with level = 1 ]', "the tag level is not supported"),
        ('Rules = [ IsComplete "a" labels = ["team"="x"] ]', "labels are not supported"),
        ('Rules = [ IsComplete "a" and IsComplete "b" ]', "put every combined rule in parentheses: (A) and (B)"),
        ('Rules = [ (IsComplete "a") and IsComplete "b" ]', "put every combined rule in parentheses: (A) and (B)"),
        ('Rules = [ (IsComplete "a") and (IsUnique "b") or (RowCount > 0) ]', "show which goes first: ((A) and"),
        ('Rules = [ (IsComplete "a" ]', "] stands where ) is expected; close the rule with )"),
        ('Rules = [ (IsComplete "a" where "b > 0") or (IsComplete "c") ]', "where cannot stand inside a rule that"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_used_is_refused_with_the_way_out(text: str, message: str) -> None:
    assert message in refusal(text)
