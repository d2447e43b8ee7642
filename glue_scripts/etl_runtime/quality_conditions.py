"""DQDL checks of single rows, as Spark expressions typed by the column that they look at.

No UDF, no implicit cast: a number in a rule is the decimal number written there, and a rule that compares a column
with a value of another type is an error, not a row that fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Context, Decimal
from functools import reduce
from operator import or_

from pyspark.errors import ParseException
from pyspark.sql import Column
from pyspark.sql import functions as sf
from pyspark.sql import types as st

from etl_model.dqdl import Check, Condition, Keyword, Now, Operand, Operator
from etl_model.dqdl_rules import iso_date, shown

_INTEGER_HIGHEST = {"tinyint": 127, "smallint": 32767, "int": 2**31 - 1, "bigint": 2**63 - 1}
_WIDE = Context(prec=400)

Compare = Callable[[Operator, Operand], Column]


class QualityRuleError(ValueError):
    """A rule that cannot be judged on this table; the message names the rule, the column and what to do."""


@dataclass(frozen=True)
class Subject:
    """What rules are judged on: the table's schema, and the time that now() means (any zone; cut to the minute).

    Give the same `now` when a run is repeated, so that the rules decide the same.
    """

    schema: st.StructType
    now: datetime

    def field(self, name: str, *, check: Check) -> st.StructField:
        """The column of that name, without regard to case; raises QualityRuleError when there is none."""
        for field in self.schema.fields:
            if field.name.casefold() == name.casefold():
                return field
        present = ", ".join(self.schema.names)
        raise QualityRuleError(f"rule {check.text}: the table has no column {name}; it has: {present}")

    @property
    def minute(self) -> datetime:
        """now() in UTC, as AWS Glue cuts it."""
        if self.now.tzinfo is None:
            raise ValueError(f"now {self.now.isoformat()} has no time zone; give an aware datetime")
        return self.now.astimezone(UTC).replace(second=0, microsecond=0)


def quoted(name: str) -> Column:
    """The top-level column of exactly this name, whatever characters it has."""
    return sf.col("`" + name.replace("`", "``") + "`")


def passes(check: Check, subject: Subject) -> Column:
    """Whether a row passes a row check: a boolean that is never NULL. Rows that `where` leaves out pass.

    Raises QualityRuleError for an unknown column, a type that does not fit, and a `where` that is no SQL.
    """
    field = subject.field(check.columns[0], check=check)
    if check.condition is None:
        passed = quoted(field.name).isNotNull()
    else:
        compare = _length(check, field) if check.type == "ColumnLength" else _value(check, field, subject)
        passed = _holds(check.condition, compare)
    counted = counts(check)
    return passed if counted is None else passed | ~counted


def counts(check: Check) -> Column | None:
    """Whether a row is among those that `where` keeps, never NULL; None for a check without `where`."""
    if check.where is None:
        return None
    try:
        return sf.coalesce(sf.expr(check.where), sf.lit(False))
    except ParseException as error:
        reason = str(error).strip().splitlines()[0]
        raise QualityRuleError(f"rule {check.text}: where is not a Spark SQL condition: {reason}") from error


def _holds(condition: Condition, compare: Compare) -> Column:
    """The condition as a boolean that is never NULL.

    As AWS documents it: NULL fails everything but != and not in; those it passes, unless NULL is listed.
    """
    first = condition.operands[0]
    if condition.operator in (Operator.EQUAL, Operator.IN, Operator.NOT_EQUAL, Operator.NOT_IN):
        equal = [sf.coalesce(compare(Operator.EQUAL, operand), sf.lit(False)) for operand in condition.operands]
        listed = reduce(or_, equal)
        return listed if condition.operator in (Operator.EQUAL, Operator.IN) else ~listed
    if condition.operator is Operator.BETWEEN:
        result = compare(Operator.GREATER, first) & compare(Operator.LESS, condition.operands[1])
    elif condition.operator is Operator.NOT_BETWEEN:
        result = compare(Operator.LESS_OR_EQUAL, first) | compare(Operator.GREATER_OR_EQUAL, condition.operands[1])
    elif condition.operator is Operator.NOT_MATCHES:
        result = ~compare(Operator.MATCHES, first)
    else:
        result = compare(condition.operator, first)
    return sf.coalesce(result, sf.lit(False))


def _length(check: Check, field: st.StructField) -> Compare:
    if not isinstance(field.dataType, st.StringType):
        raise _unfit(check, field, "ColumnLength needs a string column")
    length = sf.coalesce(sf.length(quoted(field.name)), sf.lit(0))  # NULL has length 0, as AWS documents

    def compare(operator: Operator, operand: Operand) -> Column:
        if not isinstance(operand, Decimal):
            raise _unfit(check, field, f"its length cannot be compared with {shown(operand)}")
        return _exact(length, operator, operand, st.IntegerType())

    return compare


def _value(check: Check, field: st.StructField, subject: Subject) -> Compare:
    column, kind = quoted(field.name), field.dataType

    def compare(operator: Operator, operand: Operand) -> Column:
        if operand is Keyword.NULL:
            return column.isNull()
        if isinstance(kind, st.StringType) and isinstance(operand, str | Keyword):
            return _text(column, operator, operand, check=check, field=field)
        if isinstance(kind, st.IntegralType | st.DecimalType) and isinstance(operand, Decimal):
            return _exact(column, operator, operand, kind)
        if isinstance(kind, st.FractionalType) and isinstance(operand, Decimal):
            literal = sf.lit(str(operand)).cast(kind)
            return ~sf.isnan(column) & _apply(operator, column, literal)  # NaN equals nothing and has no order
        if isinstance(kind, st.DateType | st.TimestampType | st.TimestampNTZType) and isinstance(operand, str | Now):
            return _moment(operator, operand, check=check, field=field, subject=subject)
        if isinstance(kind, st.BooleanType) and operand in ("true", "false") and operator is Operator.EQUAL:
            return _apply(operator, column, sf.lit(operand == "true"))
        raise _unfit(check, field, f"it cannot be compared with {shown(operand)} by {operator.value}")

    return compare


def _text(column: Column, operator: Operator, operand: str | Keyword, *, check: Check, field: st.StructField) -> Column:
    if operand is Keyword.EMPTY:
        return column == sf.lit("")
    if isinstance(operand, Keyword):
        return column.rlike(r"\A\s+\z")
    if operator is Operator.EQUAL:
        return column == sf.lit(operand)
    if operator is Operator.MATCHES:
        return column.rlike(rf"\A(?:{operand})\z")
    raise _unfit(check, field, f"strings have no order; cast the column to a date to compare it with {shown(operand)}")


def _exact(column: Column, operator: Operator, literal: Decimal, kind: st.DataType) -> Column:
    """Compares an integer or decimal column with a number of any digits, exactly.

    Spark would widen both sides to a common decimal, which above 38 digits loses digits or makes NULL. So the number
    is brought to the column's scale instead; what that drops decides which comparison says the same.
    """
    scale = kind.scale if isinstance(kind, st.DecimalType) else 0
    if isinstance(kind, st.DecimalType):
        highest = Decimal(10**kind.precision - 1).scaleb(-scale, _WIDE)
        lowest = highest.copy_negate()  # minus would round to the context's 28 digits
    else:
        highest = Decimal(_INTEGER_HIGHEST[kind.simpleString()])
        lowest = -highest - 1
    if literal > highest or literal < lowest:
        larger = literal < lowest  # every value of the column is larger than the number
        holds = larger if operator in (Operator.GREATER, Operator.GREATER_OR_EQUAL) else not larger
        return sf.when(column.isNotNull(), sf.lit(holds and operator is not Operator.EQUAL))
    floor = literal.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_FLOOR, context=_WIDE)
    bound = sf.lit(format(floor, "f")).cast(kind)
    if floor == literal:
        return _apply(operator, column, bound)
    if operator is Operator.EQUAL:
        return sf.when(column.isNotNull(), sf.lit(False))
    if operator in (Operator.GREATER, Operator.GREATER_OR_EQUAL):
        return column > bound
    return column <= bound


def _moment(operator: Operator, operand: str | Now, *, check: Check, field: st.StructField, subject: Subject) -> Column:
    """Compares a date or time column. A written date means the whole day; now() means the minute (or its day)."""
    column = quoted(field.name)
    if isinstance(operand, str):
        day = iso_date(operand)
        if day is None or operator is Operator.MATCHES:
            raise _unfit(check, field, f'{shown(operand)} is not a date; write it as "YYYY-MM-DD"')
        return _apply(operator, sf.to_date(column), sf.lit(day))
    try:
        moment = subject.minute + operand.offset
    except OverflowError:
        raise _unfit(check, field, "the time from now() lies outside the calendar") from None
    if isinstance(field.dataType, st.DateType):
        return _apply(operator, column, sf.lit(moment.date()))
    if isinstance(field.dataType, st.TimestampNTZType):
        return _apply(operator, column, sf.lit(moment.replace(tzinfo=None).isoformat(" ")).cast("timestamp_ntz"))
    return _apply(operator, column, sf.lit(moment.isoformat(" ")).cast("timestamp"))


def _apply(operator: Operator, left: Column, right: Column) -> Column:
    comparisons: dict[Operator, Callable[[Column, Column], Column]] = {
        Operator.EQUAL: Column.__eq__,
        Operator.GREATER: Column.__gt__,
        Operator.GREATER_OR_EQUAL: Column.__ge__,
        Operator.LESS: Column.__lt__,
        Operator.LESS_OR_EQUAL: Column.__le__,
    }
    if operator not in comparisons:
        raise ValueError(f"{operator.value} is no comparison of two values")
    return comparisons[operator](left, right)


def _unfit(check: Check, field: st.StructField, why: str) -> QualityRuleError:
    return QualityRuleError(
        f"rule {check.text}: column {field.name} is {field.dataType.simpleString()}, and {why}; "
        "change the rule, or cast the column in the pipeline file"
    )
