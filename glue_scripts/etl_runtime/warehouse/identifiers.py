"""Names and literals in Snowflake SQL, quoted so that no value of a file or a catalog can become SQL."""

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_MAX_LENGTH = 255


def warehouse_name(name: str) -> str:
    """The name in Snowflake of what the lake calls `name`.

    A plain lowercase identifier becomes uppercase, so that `select o_orderkey from orders` works unquoted; any other
    name is kept as it is and quoted by its readers ("Order Id"). ValueError when it is empty, too long or holds a NUL.
    """
    if not name or len(name) > _MAX_LENGTH or "\0" in name:
        raise ValueError(f"{name[:40]!r} is no Snowflake name; a name has 1 to {_MAX_LENGTH} characters")
    return name.upper() if _PLAIN.fullmatch(name) else name


def identifier(*names: str) -> str:
    """`identifier("analytics", "sales", "orders")` is `"ANALYTICS"."SALES"."ORDERS"`."""
    return ".".join('"' + warehouse_name(name).replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A string literal. Snowflake reads backslashes in one as escapes, so they are doubled too."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
