"""What DQDL dataset rules measure: aggregates that share one pass, groupings that need their own, and the verdicts.

A measure has a name made of what it measures, so that rules asking the same thing share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from math import isnan
from operator import and_, or_
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from etl_model.dqdl import RULE_TYPES, Check, Composite, Condition, Operator
from etl_runtime.quality_conditions import QualityRuleError, Subject, counts, passes, quoted

_GROUPED = ("IsUnique", "IsPrimaryKey", "Uniqueness", "DistinctValuesCount")
_SPREAD = ("Sum", "Mean", "StandardDeviation")


@dataclass(frozen=True)
class Verdict:
    """How a test ended. `failed_rows` counts the rows at fault where rows can be, else 0."""

    passed: bool
    failed_rows: int
    observed: str


@dataclass(frozen=True)
class Grouping:
    """Columns whose combinations of values are counted, over the rows that `where` keeps."""

    columns: tuple[str, ...]
    where: str | None

    @property
    def name(self) -> str:
        """The measure that holds the grouping's row of counts."""
        return _name(f"groups of {self.columns}", self.where)


def needs_grouping(check: Check) -> bool:
    """Whether a check counts equal values, which no plain aggregate can do exactly."""
    return check.type in _GROUPED


def grouping(check: Check) -> Grouping:
    """The grouping of a check for which needs_grouping is true."""
    return Grouping(check.columns, check.where)


def count_groups(df: DataFrame, check: Check, subject: Subject) -> DataFrame:
    """One row: name, rows, groups, nulls, singles, repeated, invalid — all counts, 0 on an empty table.

    As in AWS's open-source evaluator, a row whose columns are all NULL is no value; NULL beside a value is one. The
    columns: rows and groups (distinct combinations) that are values, 1 in `nulls` when an all-NULL row exists, rows
    whose combination is theirs alone, rows that share it, and rows that cannot have their combination as a key.
    """
    columns = [quoted(subject.field(name, check=check).name) for name in check.columns]
    kept = counts(check)
    per_group = (df if kept is None else df.where(kept)).groupBy(
        *(column.alias(f"c{position}") for position, column in enumerate(columns))
    )
    keys = [sf.col(f"c{position}") for position in range(len(columns))]
    absent = reduce(and_, (key.isNull() for key in keys))
    partial = reduce(or_, (key.isNull() for key in keys))
    size = sf.col("size")
    return per_group.agg(sf.count(sf.lit(1)).alias("size")).agg(
        sf.lit(grouping(check).name).alias("name"),
        _total(size, ~absent).alias("rows"),
        _total(sf.lit(1), ~absent).alias("groups"),
        _total(sf.lit(1), absent).alias("nulls"),
        _total(size, ~absent & (size == 1)).alias("singles"),
        _total(size, ~absent & (size > 1)).alias("repeated"),
        _total(size, partial | (size > 1)).alias("invalid"),
    )


def aggregates(check: Check, subject: Subject) -> dict[str, Column]:
    """The plain aggregates of a check, by name; empty for one that needs a grouping.

    Raises QualityRuleError for a column that is missing or whose type does not fit.
    """
    if check.type == "ColumnCount":
        return {"columns": sf.lit(len(subject.schema.fields))}
    if check.type == "ColumnExists":
        present = check.columns[0].casefold() in {name.casefold() for name in subject.schema.names}
        return {f"exists {check.columns[0]}": sf.lit(present)}
    if needs_grouping(check):
        for name in check.columns:
            subject.field(name, check=check)
        return {}
    kept = counts(check)
    found = {_name("rows", check.where): _count(kept)}
    if RULE_TYPES[check.type].judges == "row":
        found[f"failed {check.text}"] = sf.count(sf.when(~passes(check, subject), 1))
    elif check.type != "RowCount":
        found |= _column_aggregates(check, subject, kept)
    return found


def judged(test: Check | Composite, measures: Mapping[str, Any]) -> Verdict:
    """The verdict on a test, from measures by name. Raises KeyError when one is absent."""
    if isinstance(test, Check):
        return _judged_check(test, measures)
    verdicts = [judged(part, measures) for part in test.parts]
    passed = (all if test.connective == "and" else any)(verdict.passed for verdict in verdicts)
    # Rows may be at fault in several parts; the largest count is the one number that is true of all.
    at_fault = max(verdict.failed_rows for verdict in verdicts)
    return Verdict(passed, 0 if passed else at_fault, "; ".join(verdict.observed for verdict in verdicts))


def _column_aggregates(check: Check, subject: Subject, kept: Column | None) -> dict[str, Column]:
    field = subject.field(check.columns[0], check=check)
    column = quoted(field.name) if kept is None else sf.when(kept, quoted(field.name))
    found = {_name(f"values {field.name.casefold()}", check.where): sf.count(column)}
    if check.type not in _SPREAD:
        return found
    if not isinstance(field.dataType, st.NumericType):
        raise QualityRuleError(
            f"rule {check.text}: column {field.name} is {field.dataType.simpleString()}, and {check.type} needs "
            "numbers; change the rule, or cast the column in the pipeline file"
        )
    if check.type == "StandardDeviation":
        # Of the population: AWS documents 16.33 for 0, 20, 40.
        return found | {_name(f"deviation {field.name.casefold()}", check.where): sf.stddev_pop(column.cast("double"))}
    exact = column.cast("decimal(38,0)") if isinstance(field.dataType, st.IntegralType) else column
    return found | {_name(f"sum {field.name.casefold()}", check.where): sf.try_sum(exact)}


def _judged_check(check: Check, measures: Mapping[str, Any]) -> Verdict:
    if check.type == "ColumnCount":
        return _compared(check, measures["columns"], f"{measures['columns']} columns")
    if check.type == "ColumnExists":
        exists = bool(measures[f"exists {check.columns[0]}"])
        return Verdict(exists, 0, "the column exists" if exists else "the column does not exist")
    if needs_grouping(check):
        return _judged_groups(check, measures[grouping(check).name])
    rows = int(measures[_name("rows", check.where)])
    if check.type == "RowCount":
        return _compared(check, rows, f"{rows} rows")
    if RULE_TYPES[check.type].judges == "row":
        return _judged_rows(check, rows, int(measures[f"failed {check.text}"]))
    present = int(measures[_name(f"values {check.columns[0].casefold()}", check.where)])
    if check.type == "Completeness":
        return _judged_share(check, present, rows, "values")
    return _judged_numbers(check, present, measures)


def _judged_rows(check: Check, rows: int, failed: int) -> Verdict:
    if check.threshold is None:
        return Verdict(failed == 0, failed, f"{failed} of {rows} rows fail")
    return _judged_share(check, rows - failed, rows, "rows that pass")


def _judged_share(check: Check, part: int, rows: int, of_what: str) -> Verdict:
    """A share of rows. Of no rows, all comply: an empty table breaks no rule but those about its size."""
    share = Fraction(part, rows) if rows else Fraction(1)
    verdict = _compared(check, share, f"{_text(share)} ({part} of {rows} rows are {of_what})")
    return Verdict(verdict.passed, 0 if verdict.passed else rows - part, verdict.observed)


def _judged_numbers(check: Check, present: int, measures: Mapping[str, Any]) -> Verdict:
    if not present:
        return Verdict(False, 0, "the column has no values")
    measure = "deviation" if check.type == "StandardDeviation" else "sum"
    value = measures[_name(f"{measure} {check.columns[0].casefold()}", check.where)]
    if value is None:
        return Verdict(False, 0, "the sum has more than 38 digits")
    if check.type == "Mean":
        value = value / present if isinstance(value, float) else Fraction(value) / present
    return _compared(check, value, _text(value))


def _judged_groups(check: Check, counted: Mapping[str, Any]) -> Verdict:
    rows, singles, repeated = int(counted["rows"]), int(counted["singles"]), int(counted["repeated"])
    if check.type == "DistinctValuesCount":
        distinct = int(counted["groups"]) + int(counted["nulls"])  # NULL counts as a value, as in AWS's evaluator
        return _compared(check, distinct, f"{distinct} distinct values")
    if check.type == "IsUnique":
        return Verdict(repeated == 0, repeated, f"{repeated} of {rows} rows share their value with another")
    if check.type == "IsPrimaryKey":
        invalid = int(counted["invalid"])
        return Verdict(invalid == 0, invalid, f"{invalid} rows have a NULL or share their value with another")
    share = Fraction(singles, rows) if rows else Fraction(1)
    verdict = _compared(check, share, f"{_text(share)} ({singles} of {rows} rows have a value of their own)")
    return Verdict(verdict.passed, 0 if verdict.passed else repeated, verdict.observed)


def _compared(check: Check, value: int | float | Decimal | Fraction, observed: str) -> Verdict:
    condition = check.threshold or check.condition
    if condition is None:
        raise ValueError(f"rule {check.text} has no condition to compare with")
    return Verdict(meets(value, condition), 0, observed)


def meets(value: int | float | Decimal | Fraction, condition: Condition) -> bool:
    """Whether a measured number meets a condition: exactly, or as doubles when it was measured as one."""
    numbers = [operand for operand in condition.operands if isinstance(operand, Decimal)]
    if isinstance(value, float):
        return not isnan(value) and _meets(value, [float(number) for number in numbers], condition.operator)
    return _meets(Fraction(value), [Fraction(number) for number in numbers], condition.operator)


def _meets(value: float | Fraction, numbers: list[float] | list[Fraction], operator: Operator) -> bool:
    first, last = numbers[0], numbers[-1]
    answers = {
        Operator.EQUAL: value == first,
        Operator.NOT_EQUAL: value != first,
        Operator.GREATER: value > first,
        Operator.GREATER_OR_EQUAL: value >= first,
        Operator.LESS: value < first,
        Operator.LESS_OR_EQUAL: value <= first,
        Operator.BETWEEN: first < value < last,
        Operator.NOT_BETWEEN: not first < value < last,
        Operator.IN: value in numbers,
        Operator.NOT_IN: value not in numbers,
    }
    return answers[operator]


def _name(measure: str, where: str | None) -> str:
    return measure if where is None else f"{measure} where {where}"


def _count(kept: Column | None) -> Column:
    return sf.count(sf.lit(1)) if kept is None else sf.count(sf.when(kept, 1))


def _total(value: Column, when: Column) -> Column:
    return sf.coalesce(sf.sum(sf.when(when, value)), sf.lit(0)).cast("bigint")


def _text(value: int | float | Decimal | Fraction) -> str:
    """A number for people: shares and means with up to six decimals, sums in full."""
    if isinstance(value, Fraction):
        text = f"{float(value):.6f}" if value.denominator != 1 else str(value.numerator)
        return text.rstrip("0").rstrip(".") if "." in text else text
    return format(value, "f") if isinstance(value, Decimal) else str(value)
