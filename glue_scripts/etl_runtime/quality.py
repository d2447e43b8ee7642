"""Judges a table by its DQDL rules: which rules each row fails, and how the table as a whole does.

    failed = failed_row_rules(ruleset, subject)                    # one column, for the pass that splits the rows
    outcomes = dataset_outcomes(df, ruleset.dataset_rules, now=started_at)

`Subject(schema, now)` carries the column types, by which rules are compiled, and the time that now() means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any, Literal

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as sf

from etl_model.dqdl import Check, Composite, Rule, Ruleset, checks, missing_columns
from etl_runtime.quality_conditions import QualityRuleError, Subject, passes
from etl_runtime.quality_measures import aggregates, count_groups, grouping, judged, needs_grouping

__all__ = [
    "QualityRuleError",
    "RuleOutcome",
    "Subject",
    "dataset_aggregates",
    "dataset_outcomes",
    "failed_row_rules",
    "judge",
    "missing_columns",
    "require_columns",
    "row_aggregates",
    "row_outcomes",
    "shares_the_pass",
]


@dataclass(frozen=True)
class RuleOutcome:
    """How a rule ended. `rule` is its text; `failed_rows` is 0 when it passed, and where no row is at fault."""

    rule: str
    outcome: Literal["passed", "failed"]
    failed_rows: int
    observed: str


def require_columns(ruleset: Ruleset, present: Iterable[str]) -> None:
    """Raises one QualityRuleError that lists every column that rules need and the table lacks, and those it has."""
    present = tuple(present)
    missing = missing_columns(ruleset, present)
    if missing:
        lines = [f"  {column}, needed by {'; '.join(rules)}" for column, rules in missing.items()]
        raise QualityRuleError(
            f"the checks name {len(missing)} column(s) that the table lacks:\n"
            + "\n".join(lines)
            + f"\nthe table has: {', '.join(present)}"
        )


def failed_row_rules(ruleset: Ruleset, subject: Subject) -> Column:
    """array<string>: the texts of the row rules that a row fails, in their order; empty when it passes, never NULL.

    Raises QualityRuleError for a rule that does not fit the schema.
    """
    require_columns(Ruleset(ruleset.row_rules), subject.schema.names)
    failures = [sf.when(~_row_passes(rule.test, subject), sf.lit(rule.text)) for rule in ruleset.row_rules]
    if not failures:
        return sf.array().cast("array<string>")
    return sf.array_compact(sf.array(*failures))


def row_aggregates(ruleset: Ruleset, failed: Column) -> dict[str, Column]:
    """Aggregates for `row_outcomes`: rows, and rows that fail each row rule.

    `failed` refers to the column that failed_row_rules was selected as (the expression itself would be evaluated
    once for every rule).
    """
    counted = {"rows": sf.count(sf.lit(1))}
    for rule in ruleset.row_rules:
        counted[f"failed {rule.text}"] = sf.count(sf.when(sf.array_contains(failed, rule.text), 1))
    return counted


def row_outcomes(ruleset: Ruleset, row: Row | Mapping[str, Any]) -> list[RuleOutcome]:
    """The outcomes of the row rules, from the values of row_aggregates by name."""
    values = _by_name(row)
    return [
        RuleOutcome(rule.text, "failed" if failed else "passed", failed, f"{failed} of {values['rows']} rows fail")
        for rule in ruleset.row_rules
        for failed in (int(values[f"failed {rule.text}"]),)
    ]


def shares_the_pass(rule: Rule) -> bool:
    """Whether `judge` can judge the rule from `dataset_aggregates` alone; the others count equal values."""
    return not any(needs_grouping(check) for check in checks(rule.test))


def dataset_aggregates(rules: Sequence[Rule], subject: Subject) -> dict[str, Column]:
    """The aggregates of the rules by name, each once, for one `agg` or `observe`.

    Raises QualityRuleError for a rule that does not fit the schema.
    """
    require_columns(Ruleset(tuple(rules)), subject.schema.names)
    found: dict[str, Column] = {}
    for check in _checks(rules):
        found |= aggregates(check, subject)
    return found


def judge(rules: Sequence[Rule], row: Row | Mapping[str, Any]) -> list[RuleOutcome]:
    """The outcomes of the rules, from the values of dataset_aggregates by name.

    Raises ValueError for a rule that does not share the pass: give those to dataset_outcomes.
    """
    values = _by_name(row)
    for rule in rules:
        if not shares_the_pass(rule) and not _has_groupings(rule, values):
            raise ValueError(f"rule {rule.text} counts equal values; judge it with dataset_outcomes")
    return [_outcome(rule, values) for rule in rules]


def dataset_outcomes(df: DataFrame, rules: Sequence[Rule], *, now: datetime) -> list[RuleOutcome]:
    """The outcomes of dataset rules on a table, in their order.

    At most two Spark actions: one aggregation for all rules that share it, and one for all that count equal values
    (each set of columns is grouped once, whatever number of rules looks at it). Raises QualityRuleError for a rule
    that does not fit the schema.
    """
    subject = Subject(df.schema, now)
    shared = dataset_aggregates(rules, subject)
    values: dict[str, Any] = {}
    if shared:
        values |= df.agg(*(column.alias(name) for name, column in shared.items())).collect()[0].asDict()
    groupings = {grouping(check): check for check in _checks(rules) if needs_grouping(check)}
    if groupings:
        counted = reduce(DataFrame.unionByName, (count_groups(df, check, subject) for check in groupings.values()))
        values |= {row["name"]: row.asDict() for row in counted.collect()}
    return judge(rules, values)


def _row_passes(test: Check | Composite, subject: Subject) -> Column:
    if isinstance(test, Check):
        return passes(test, subject)
    join = and_ if test.connective == "and" else or_
    return reduce(join, (_row_passes(part, subject) for part in test.parts))


def _checks(rules: Sequence[Rule]) -> list[Check]:
    return [check for rule in rules for check in checks(rule.test)]


def _has_groupings(rule: Rule, values: Mapping[str, Any]) -> bool:
    return all(grouping(check).name in values for check in checks(rule.test) if needs_grouping(check))


def _outcome(rule: Rule, values: Mapping[str, Any]) -> RuleOutcome:
    verdict = judged(rule.test, values)
    passed = verdict.passed
    return RuleOutcome(
        rule.text, "passed" if passed else "failed", 0 if passed else verdict.failed_rows, verdict.observed
    )


def _by_name(row: Row | Mapping[str, Any]) -> Mapping[str, Any]:
    return row.asDict() if isinstance(row, Row) else row
