"""What DQDL rules mean, once read: conditions, checks, rules, rulesets, and the rule types that are supported.

Semantics follow the AWS Glue DQDL reference (docs.aws.amazon.com/glue/latest/dg/dqdl.html) and, where it is
silent, AWS's open-source evaluator (github.com/awslabs/deequ, package dqdl).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal


class Operator(Enum):
    """How a condition compares. Between excludes both bounds, so `not between` includes them."""

    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    BETWEEN = "between"
    NOT_BETWEEN = "not between"
    IN = "in"
    NOT_IN = "not in"
    MATCHES = "matches"
    NOT_MATCHES = "not matches"


class Keyword(Enum):
    """Values that have no literal of their own."""

    NULL = "NULL"
    EMPTY = "EMPTY"
    WHITESPACES_ONLY = "WHITESPACES_ONLY"


@dataclass(frozen=True)
class Now:
    """The run's clock in UTC, cut to the minute, plus `offset`."""

    offset: timedelta


Operand = Decimal | str | Now | Keyword


@dataclass(frozen=True)
class Condition:
    """An operator and its operands: two for (not) between, one or more for (not) in, else one."""

    operator: Operator
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Check:
    """A rule without `and`/`or`.

    `text` is the rule as written. `condition` is None for the types that take none. `where` is a Spark SQL filter:
    rows for which it is not true are left out. `threshold` makes a row check a dataset check: the share of
    passing rows (0 to 1) must meet it.
    """

    text: str
    type: str
    columns: tuple[str, ...]
    condition: Condition | None
    where: str | None
    threshold: Condition | None


@dataclass(frozen=True)
class Composite:
    """Two or more tests joined by the same word."""

    connective: Literal["and", "or"]
    parts: tuple[Check | Composite, ...]


@dataclass(frozen=True)
class Rule:
    """One rule of a ruleset.

    `text` is the rule as written, comments dropped and blanks collapsed: its name in reports, unique in a ruleset.
    `kind` is "row" when each row passes or fails on its own, "dataset" when only the whole table can.
    """

    text: str
    kind: Literal["row", "dataset"]
    test: Check | Composite


@dataclass(frozen=True)
class Ruleset:
    """The rules of one table, in the order of the text."""

    rules: tuple[Rule, ...]

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """The rules that judge each row."""
        return tuple(rule for rule in self.rules if rule.kind == "row")

    @property
    def dataset_rules(self) -> tuple[Rule, ...]:
        """The rules that judge the whole table."""
        return tuple(rule for rule in self.rules if rule.kind == "dataset")


@dataclass(frozen=True)
class RuleType:
    """What a rule type takes: how many columns, which condition, whether `where` and `with threshold` may follow.

    `judges` says whether it looks at each row or only at the whole table.
    """

    columns: Literal["none", "one", "some"]
    condition: Literal["none", "number", "value"]
    judges: Literal["row", "dataset"]
    where: bool = True
    threshold: bool = False


RULE_TYPES: dict[str, RuleType] = {
    "ColumnCount": RuleType("none", "number", "dataset", where=False),
    "ColumnExists": RuleType("one", "none", "dataset", where=False),
    "ColumnLength": RuleType("one", "number", "row"),
    "ColumnValues": RuleType("one", "value", "row", threshold=True),
    "Completeness": RuleType("one", "number", "dataset"),
    "DistinctValuesCount": RuleType("one", "number", "dataset"),
    "IsComplete": RuleType("one", "none", "row"),
    "IsPrimaryKey": RuleType("some", "none", "dataset"),
    "IsUnique": RuleType("some", "none", "dataset"),
    "Mean": RuleType("one", "number", "dataset"),
    "RowCount": RuleType("none", "number", "dataset"),
    "StandardDeviation": RuleType("one", "number", "dataset"),
    "Sum": RuleType("one", "number", "dataset"),
    "Uniqueness": RuleType("some", "number", "dataset"),
}


def checks(test: Check | Composite) -> tuple[Check, ...]:
    """The checks of a test, in the order of the text."""
    if isinstance(test, Check):
        return (test,)
    return tuple(check for part in test.parts for check in checks(part))


def columns(rule: Rule) -> tuple[str, ...]:
    """The columns that a rule cannot be judged without, each once.

    The column of ColumnExists is not among them (its absence is a result), nor are those named inside a `where`
    filter, which is Spark SQL and is checked by Spark.
    """
    needed = (name for check in checks(rule.test) if check.type != "ColumnExists" for name in check.columns)
    return tuple(dict.fromkeys(needed))


def missing_columns(ruleset: Ruleset, present: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Columns that the rules need and the table lacks, each with the texts of the rules that need it.

    Names are compared without case, as Spark does.
    """
    known = {name.casefold() for name in present}
    missing: dict[str, tuple[str, ...]] = {}
    for rule in ruleset.rules:
        for name in columns(rule):
            if name.casefold() not in known:
                missing[name] = (*missing.get(name, ()), rule.text)
    return missing


def iso_date(text: str) -> date | None:
    """The date that a quoted YYYY-MM-DD means, or None when the text is something else."""
    if len(text) != len("YYYY-MM-DD"):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def shown(operand: Operand) -> str:
    """An operand in the words of a message."""
    if isinstance(operand, Decimal):
        return f"the number {operand}"
    if isinstance(operand, str):
        return f'the string "{operand}"'
    return "now()" if isinstance(operand, Now) else operand.value
