"""Reads DQDL (AWS Glue's Data Quality Definition Language) into rules, or says everything that is wrong with it.

    ruleset = [ rule, rule, ... ]     written: Rules = [ IsComplete "id", (RowCount > 0) or (IsUnique "id") ]
    rule    = check | ( rule ) and ( rule ) ... | ( rule ) or ( rule ) ...
    check   = TYPE "column" ... [condition] [where "Spark SQL"] [with threshold condition]

Only what is judged exactly is accepted; anything else of DQDL fails here, so a pipeline file that parses also runs.
The same text is registered with AWS Glue, so what AWS refuses is refused here as well.
"""

from __future__ import annotations

from typing import Literal

from etl_model.dqdl_conditions import condition_begins, read_condition
from etl_model.dqdl_cursor import Cursor
from etl_model.dqdl_rules import (
    RULE_TYPES,
    Check,
    Composite,
    Condition,
    Keyword,
    Now,
    Operand,
    Operator,
    Rule,
    Ruleset,
    RuleType,
    checks,
    columns,
    missing_columns,
)
from etl_model.dqdl_tokens import DqdlError, Kind, Problem, Token, spelled, tokenize, unquoted, unquoted_raw

__all__ = [
    "RULE_TYPES",
    "Check",
    "Composite",
    "Condition",
    "DqdlError",
    "Keyword",
    "Now",
    "Operand",
    "Operator",
    "Problem",
    "Rule",
    "Ruleset",
    "checks",
    "columns",
    "missing_columns",
    "parse",
]

_SHAPE = "write: Rules = [ rule, rule, ... ]"
_AND_OR = ("and", "AND", "or", "OR")
# Words that may follow an unquoted column. Rule types are among them so that a forgotten comma is seen.
_NOT_A_COLUMN = {*_AND_OR, *RULE_TYPES, "where", "with", "labels"}


def parse(text: str) -> Ruleset:
    """The rules of DQDL text. Raises DqdlError with every mistake, each with its line, column and what is allowed."""
    cursor = Cursor(tokenize(text))
    _read_opening(cursor)
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    while True:
        start = cursor.token
        try:
            rule = _read_rule(cursor)
            if rule.text in rules:
                raise DqdlError.at(start, f"the rule {rule.text} is listed twice", "keep one of the two")
            rules[rule.text] = rule
        except DqdlError as error:
            problems.extend(error.problems)
            cursor.skip_to_end_of_rule(start)
        if not cursor.take(","):
            break
    if not problems:
        _read_closing(cursor)
    if problems:
        raise DqdlError(problems)
    return Ruleset(tuple(rules.values()))


def _read_opening(cursor: Cursor) -> None:
    if cursor.token.text != "Rules":
        raise cursor.error(f"{cursor.token} stands where Rules is expected", _SHAPE)
    cursor.advance()
    cursor.expect("=", _SHAPE)
    cursor.expect("[", _SHAPE)
    if cursor.token.text == "]":
        raise cursor.error("the list of rules is empty", "write at least one rule, or leave the checks out")


def _read_closing(cursor: Cursor) -> None:
    cursor.expect("]", "end the list with ], or put a comma before the next rule")
    if cursor.token.kind is not Kind.END:
        raise cursor.error(f"{cursor.token} follows the list of rules", "only the list Rules = [ ... ] is supported")


def _read_rule(cursor: Cursor) -> Rule:
    start = cursor.position
    first = cursor.token
    test = _read_test(cursor)
    if cursor.token.text not in (",", "]"):
        raise cursor.error(f"{cursor.token} is not part of a rule", _after_a_rule(cursor.token))
    parts = checks(test)
    by_row = all(RULE_TYPES[check.type].judges == "row" and check.threshold is None for check in parts)
    if by_row and isinstance(test, Composite) and any(check.where for check in parts):
        raise DqdlError.at(
            first,
            "where cannot stand inside a rule that judges rows with and/or",
            "it is undefined whether a row outside the filter passes; write separate rules, or put the filter's "
            "condition in as a rule of its own",
        )
    kind: Literal["row", "dataset"] = "row" if by_row else "dataset"
    return Rule(spelled(cursor.since(start)), kind, test)


def _read_test(cursor: Cursor) -> Check | Composite:
    if cursor.token.text != "(":
        return _read_check(cursor)
    parts = [_read_parenthesized(cursor)]
    word: str | None = None
    while cursor.token.text in _AND_OR:
        token = cursor.advance()
        if word not in (None, token.text.lower()):
            raise DqdlError.at(token, "and and or stand side by side", "show which goes first: ((A) and (B)) or (C)")
        word = token.text.lower()
        if cursor.token.text != "(":
            raise cursor.error(f"{cursor.token} follows {token}", "put every combined rule in parentheses: (A) and (B)")
        parts.append(_read_parenthesized(cursor))
    if word is None:
        return parts[0]
    return Composite("and" if word == "and" else "or", tuple(parts))


def _read_parenthesized(cursor: Cursor) -> Check | Composite:
    cursor.expect("(", "put every combined rule in parentheses: (A) and (B)")
    test = _read_test(cursor)
    cursor.expect(")", "close the rule with )")
    return test


def _read_check(cursor: Cursor) -> Check:
    start = cursor.position
    name = cursor.token
    kind = _rule_type(cursor)
    names = _read_columns(cursor, name, kind)
    condition = _read_expected_condition(cursor, name, kind)
    where = _read_where(cursor, name, kind)
    threshold = _read_threshold(cursor, name, kind)
    return Check(spelled(cursor.since(start)), name.text, names, condition, where, threshold)


def _rule_type(cursor: Cursor) -> RuleType:
    token = cursor.token
    if token.text in RULE_TYPES:
        cursor.advance()
        return RULE_TYPES[token.text]
    supported = f"supported rule types: {', '.join(RULE_TYPES)}"
    if token.kind is not Kind.WORD:
        raise cursor.error(f"{token} stands where a rule is expected", supported)
    meant = next((name for name in RULE_TYPES if name.lower() == token.text.lower()), None)
    if meant:
        raise cursor.error(f"rule type {token} is not known: names are case-sensitive", f"write {meant}")
    raise cursor.error(f"rule type {token} is not supported", supported)


def _read_columns(cursor: Cursor, name: Token, kind: RuleType) -> tuple[str, ...]:
    first = cursor.token
    names: list[str] = []
    while cursor.token.kind is Kind.STRING or _is_bare_column(cursor):
        token = cursor.advance()
        names.append(unquoted(token) if token.kind is Kind.STRING else token.text)
        if not names[-1]:
            raise DqdlError.at(token, "the column has no name", 'write the column as "name"')
    if kind.columns == "none" and names:
        raise DqdlError.at(first, f"{name} takes no column", f"write {name} and its condition, such as {name} > 0")
    if kind.columns == "one" and len(names) != 1:
        raise DqdlError.at(first, f"{name} takes one column, not {len(names)}", f'write {name} "column"')
    if kind.columns == "some" and not names:
        raise DqdlError.at(first, f"{name} takes at least one column", f'write {name} "column" or {name} "a" "b"')
    if len(set(names)) < len(names):
        raise DqdlError.at(first, f"{name} names a column twice", "name each column once")
    return tuple(names)


def _is_bare_column(cursor: Cursor) -> bool:
    return cursor.token.kind is Kind.WORD and cursor.token.text not in _NOT_A_COLUMN and not condition_begins(cursor)


def _read_expected_condition(cursor: Cursor, name: Token, kind: RuleType) -> Condition | None:
    begins = condition_begins(cursor)
    if kind.condition == "none":
        if begins:
            raise cursor.error(f"{name} takes no condition", _without_condition(name.text))
        return None
    if not begins:
        raise cursor.error(f"{name} needs a condition", f"such as {name} ... > 0")
    return read_condition(cursor, values=kind.condition == "value")


def _read_where(cursor: Cursor, name: Token, kind: RuleType) -> str | None:
    if cursor.token.text != "where":
        return None
    token = cursor.advance()
    if not kind.where:
        raise DqdlError.at(token, f"where does not apply to {name}", "remove it: the columns are the same for all rows")
    filter_token = cursor.expect_string('where "SQL condition"')
    where = unquoted_raw(filter_token).strip()
    if not where:
        raise DqdlError.at(filter_token, "the where filter is empty", "write a condition, or leave where out")
    return where


def _read_threshold(cursor: Cursor, name: Token, kind: RuleType) -> Condition | None:
    if cursor.token.text != "with":
        return None
    token = cursor.advance()
    if cursor.token.text != "threshold":
        raise cursor.error(f"the tag {cursor.token} is not supported", "only with threshold is supported")
    cursor.advance()
    if not kind.threshold:
        with_threshold = ", ".join(other for other, its in RULE_TYPES.items() if its.threshold)
        raise DqdlError.at(
            token,
            f"with threshold does not apply to {name}",
            f"it applies to {with_threshold}; for the share of values that are not NULL use Completeness",
        )
    return read_condition(cursor, values=False)


def _without_condition(name: str) -> str:
    metric = {"IsComplete": "Completeness", "IsUnique": "Uniqueness", "IsPrimaryKey": "Uniqueness"}.get(name)
    return f'write {name} "column"' + (f", or use {metric}" if metric else "")


def _after_a_rule(token: Token) -> str:
    if token.text in _AND_OR:
        return "put every combined rule in parentheses: (A) and (B)"
    if token.text == "labels":
        return "labels are not supported"
    if token.text in ("where", "with"):
        return 'the order is: condition, where "SQL", with threshold condition'
    return "put a comma between rules and ] after the last"
