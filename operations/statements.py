"""Only reads pass: `etl query` is for looking, on production too, whatever the credentials could do."""

from typing import Literal

import sqlglot
from sqlglot import TokenType
from sqlglot.errors import TokenError

from operations.failures import failure

Dialect = Literal["athena", "snowflake", "postgres"]
_READS = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
_WAY_OUT = "Data changes only through pipelines; give one SELECT (or WITH, VALUES, SHOW, DESCRIBE, EXPLAIN)"


def single_read(sql: str, *, dialect: Dialect) -> str:
    """The statement without its closing semicolon; OperationError for several statements or one that could write."""
    try:
        tokens = sqlglot.tokenize(sql, read=dialect)
    except TokenError as error:
        raise failure("SQL", f"it cannot be read: {error}", "Check quotes and comments") from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise failure("SQL", "there is no statement", _WAY_OUT)
    if any(token.token_type == TokenType.SEMICOLON for token in tokens):
        raise failure("SQL", "there is more than one statement", "Give them one at a time")
    # Snowflake chains statements with ->>, and the second may be anything.
    if dialect == "snowflake" and any(token.text == "->>" for token in tokens):
        raise failure("SQL", "statements are chained with ->>", "Give them one at a time")
    first = next((token.text.upper() for token in tokens if token.token_type != TokenType.L_PAREN), "")
    # sqlglot takes some commands (SHOW, EXPLAIN …) as one token with the rest of the statement.
    if not first.startswith(_READS) or first.split()[0] not in _READS:
        raise failure("SQL", f"{first.split()[0] if first else '('} is not a read", _WAY_OUT)
    return sql[: tokens[-1].end + 1]
