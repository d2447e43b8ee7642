"""Tokens of DQDL text, and the error that every step of reading it raises.

The token rules are those of AWS's published grammar (github.com/awslabs/dqdl, CommonLexerRules.g4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<symbol>!=|>=|<=|[=<>\[\](){},:$+*/-])
  | (?P<word>[A-Za-z0-9_.]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+(\.\d+)?")


class Kind(Enum):
    """What a token is."""

    WORD = "a word"
    NUMBER = "a number"
    STRING = "a quoted string"
    SYMBOL = "a symbol"
    END = "the end of the text"


@dataclass(frozen=True)
class Token:
    """A token as written. `gap` is true when blanks or a comment stand before it; line and column count from 1."""

    kind: Kind
    text: str
    line: int
    column: int
    gap: bool

    def __str__(self) -> str:
        return self.kind.value if self.kind is Kind.END else self.text


@dataclass(frozen=True)
class Problem:
    """One mistake in DQDL text: where (line and column count from 1), what, and what is allowed instead."""

    line: int
    column: int
    what: str
    allowed: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.what}; {self.allowed}"


class DqdlError(ValueError):
    """DQDL text that cannot be used. `problems` has every mistake found, in the order of the text; never empty."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def at(cls, token: Token, what: str, allowed: str) -> DqdlError:
        """The error of a single mistake at a token."""
        return cls([Problem(token.line, token.column, what, allowed)])


def tokenize(text: str) -> list[Token]:
    """The tokens of DQDL text, ended by one of kind END. Raises DqdlError at a character that begins no token."""
    tokens: list[Token] = []
    line, line_start, position, gap = 1, 0, 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        column = position - line_start + 1
        if match is None or match.lastgroup is None:
            raise DqdlError([_unreadable(text[position], line, column)])
        raw = match.group()
        if match.lastgroup in ("space", "comment"):
            gap = True
        else:
            tokens.append(Token(_kind(match.lastgroup, raw), raw, line, column, gap))
            gap = False
        if "\n" in raw:
            line += raw.count("\n")
            line_start = position + raw.rindex("\n") + 1
        position = match.end()
    tokens.append(Token(Kind.END, "", line, position - line_start + 1, gap))
    return tokens


def spelled(tokens: Iterable[Token]) -> str:
    """The tokens as written, with comments dropped and every run of blanks between tokens made one space."""
    return "".join((" " if token.gap else "") + token.text for token in tokens).strip()


def unquoted(token: Token) -> str:
    r"""The value of a string token: quotes removed, \" and \\ resolved, every other backslash kept."""
    return re.sub(r'\\(["\\])', r"\1", token.text[1:-1])


def unquoted_raw(token: Token) -> str:
    r"""The value of a string token that has its own escapes (regular expression, SQL): only \" is resolved."""
    return re.sub(r'(\\\\)|\\"', lambda match: match.group(1) or '"', token.text[1:-1])


def _kind(group: str, raw: str) -> Kind:
    if group == "string":
        return Kind.STRING
    if group == "symbol":
        return Kind.SYMBOL
    return Kind.NUMBER if _NUMBER.fullmatch(raw) else Kind.WORD


def _unreadable(character: str, line: int, column: int) -> Problem:
    if character == '"':
        return Problem(line, column, "this string never ends", 'close it with " and write a quote inside it as \\"')
    if character == "'":
        return Problem(line, column, "' quotes nothing in DQDL", 'use double quotes: "value"')
    if character == "!":
        return Problem(line, column, "! stands alone", "write != for 'not equal'")
    return Problem(line, column, f"unexpected character {character!r}", 'a rule looks like: IsComplete "column"')
