"""Reads the condition of a DQDL rule: an operator and its numbers, strings, dates or keywords."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from etl_model.dqdl_cursor import Cursor
from etl_model.dqdl_rules import Condition, Keyword, Now, Operand, Operator, iso_date, shown
from etl_model.dqdl_tokens import DqdlError, Kind, Token, unquoted, unquoted_raw

_OPERATORS = "=, !=, >, >=, <, <=, between, not between, in [...], not in [...], matches, not matches"
_WORDS = ("between", "in", "matches", "not")
_COMPARISONS = {operator.value: operator for operator in Operator if not operator.value.startswith(_WORDS)}
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN)
_KEYWORDS = {spelling: keyword for keyword in Keyword for spelling in (keyword.value, keyword.value.lower())}
_UNITS = ("days", "hours", "minutes")


def condition_begins(cursor: Cursor) -> bool:
    """Whether the next token begins a condition."""
    token = cursor.token
    return token.kind is not Kind.STRING and (token.text in _COMPARISONS or token.text.lower() in _WORDS)


def read_condition(cursor: Cursor, *, values: bool) -> Condition:
    """The condition at the cursor; `values` says whether it may compare values of a column, or only a number.

    Raises DqdlError for an unknown operator, an operand that does not fit it, and a range that contains nothing.
    """
    start = cursor.token
    operator = _read_operator(cursor)
    if operator in (Operator.MATCHES, Operator.NOT_MATCHES):
        if not values:
            raise DqdlError.at(start, f"{operator.value} does not apply to a number", "compare with a number")
        return Condition(operator, (unquoted_raw(cursor.expect_string('matches "regular expression"')),))
    if operator in (Operator.IN, Operator.NOT_IN):
        operands = _read_list(cursor)
    else:
        operands = [_read_operand(cursor)]
        if operator in (Operator.BETWEEN, Operator.NOT_BETWEEN):
            cursor.expect("and", "write: between low and high")
            operands.append(_read_operand(cursor))
    for token, operand in operands:
        _check_operand(token, operand, operator, values=values)
    _check_together(operands, operator)
    return Condition(operator, tuple(operand for _, operand in operands))


def _read_operator(cursor: Cursor) -> Operator:
    token = cursor.advance()
    if token.text in _COMPARISONS:
        return _COMPARISONS[token.text]
    words = token.text
    if words == "not":
        words = f"not {cursor.advance().text}"
    if words in {operator.value for operator in Operator}:
        return Operator(words)
    if words.lower() in {operator.value for operator in Operator}:
        raise DqdlError.at(token, f"{words} is not an operator: they are case-sensitive", f"write {words.lower()}")
    raise DqdlError.at(token, f"{words} is not an operator", f"operators: {_OPERATORS}")


def _read_list(cursor: Cursor) -> list[tuple[Token, Operand]]:
    cursor.expect("[", "write: in [a, b]")
    operands = [_read_operand(cursor)]
    while cursor.take(","):
        operands.append(_read_operand(cursor))
    cursor.expect("]", "separate the values with commas and close the list with ]")
    return operands


def _read_operand(cursor: Cursor) -> tuple[Token, Operand]:
    token = cursor.token
    operand = _read_value(cursor)
    if cursor.token.text in ("+", "-", "*", "/"):
        raise cursor.error("arithmetic is not supported", "write the resulting number")
    return token, operand


def _read_value(cursor: Cursor) -> Operand:
    token = cursor.advance()
    if token.kind is Kind.STRING:
        return unquoted(token)
    if token.kind is Kind.NUMBER:
        return Decimal(token.text)
    if token.text == "-" and cursor.token.kind is Kind.NUMBER:
        return Decimal(f"-{cursor.advance().text}")
    if token.text in _KEYWORDS:
        return _KEYWORDS[token.text]
    if token.text == "now" or (token.text == "(" and cursor.token.text == "now"):
        return _read_now(cursor, parenthesized=token.text == "(")
    if token.kind is Kind.WORD and cursor.token.text == "(":
        raise DqdlError.at(token, f"the function {token}() is not supported", "compare with a fixed value, or now()")
    if token.text == "$":
        raise DqdlError.at(token, "variables are not supported", "write the value itself")
    raise DqdlError.at(
        token,
        f"{token} stands where a value is expected",
        'values: 12.5, "text", "2024-01-31", (now() - 3 days), NULL, EMPTY, WHITESPACES_ONLY',
    )


def _read_now(cursor: Cursor, *, parenthesized: bool) -> Now:
    shape = "write: now() or (now() - 3 days), in days, hours or minutes"
    if parenthesized:
        cursor.expect("now", shape)
    cursor.expect("(", shape)
    cursor.expect(")", shape)
    if not parenthesized:
        return Now(timedelta())
    sign = cursor.advance()
    amount = cursor.advance()
    unit = cursor.advance()
    if sign.text not in ("+", "-"):
        raise DqdlError.at(sign, f"{sign} follows now()", shape)
    if not amount.text.isdecimal():
        raise DqdlError.at(amount, f"{amount} is not a whole number", shape)
    if unit.text not in _UNITS:
        raise DqdlError.at(unit, f"{unit} is not a unit of time", shape)
    cursor.expect(")", shape)
    try:
        offset = timedelta(**{unit.text: int(amount.text)})
    except OverflowError:
        raise DqdlError.at(amount, f"{amount} {unit} is too long", shape) from None
    return Now(offset if sign.text == "+" else -offset)


def _check_operand(token: Token, operand: Operand, operator: Operator, *, values: bool) -> None:
    if not values and not isinstance(operand, Decimal):
        raise DqdlError.at(token, f"{shown(operand)} stands where a number is expected", "write a number, unquoted")
    if operator in _EQUALITY:
        return
    if isinstance(operand, Keyword):
        raise DqdlError.at(
            token, f"{operand.value} cannot be compared by {operator.value}", "use =, !=, in [...] or not in [...]"
        )
    if isinstance(operand, str) and iso_date(operand) is None:
        raise DqdlError.at(
            token,
            f"{shown(operand)} cannot be compared by {operator.value}",
            'only numbers and dates have an order: write a number unquoted, a date as "YYYY-MM-DD"',
        )


def _check_together(operands: list[tuple[Token, Operand]], operator: Operator) -> None:
    token = operands[0][0]
    kinds = {_kind(operand) for _, operand in operands if not isinstance(operand, Keyword)}
    kinds |= {"string" for _, operand in operands if operand in (Keyword.EMPTY, Keyword.WHITESPACES_ONLY)}
    if "number" in kinds and len(kinds) > 1:
        raise DqdlError.at(token, "numbers and strings stand side by side", "compare a column with values of one type")
    if operator in (Operator.BETWEEN, Operator.NOT_BETWEEN):
        low, high = (operand for _, operand in operands)
        numbers = isinstance(low, Decimal) and isinstance(high, Decimal) and low >= high
        dates = isinstance(low, str) and isinstance(high, str) and low >= high
        moments = isinstance(low, Now) and isinstance(high, Now) and low.offset >= high.offset
        if numbers or dates or moments:
            raise DqdlError.at(token, "no value lies between these two", "write the lower first; both are excluded")


def _kind(operand: Operand) -> str:
    return "number" if isinstance(operand, Decimal) else "string"
