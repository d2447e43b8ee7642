"""Values as exact text, written the same way whichever engine they came from."""

import json
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal

Value = str | int | bool | None

_TIMESTAMP = re.compile(r"([+-]?\d{4,}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(?: ?(UTC|Z|[+-]\d\d(?::?\d\d)?))?")


def exact(value: object) -> Value:
    """NULL, booleans and whole numbers as they are, everything else as text: decimals and floats without rounding,
    bytes as hexadecimal digits, times in ISO 8601 with a space, without zeros at the end of the fraction."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return timestamp_text(value.isoformat(sep=" "))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, timedelta | float):
        return str(value)
    return json.dumps(value, default=str, ensure_ascii=False)


def timestamp_text(text: str) -> str:
    """`2026-01-31 08:05:00.25` or, with a zone, `… 08:05:00.25+00:00`; what is no such timestamp stays as it is."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return text
    day, clock, fraction, zone = match.groups()
    fraction = (fraction or "").rstrip("0")
    return f"{day} {clock}{f'.{fraction}' if fraction else ''}{_zone(zone)}"


def float_text(text: str) -> str:
    """The shortest text of the same double: 0.1 and 1.0E-1 are one value."""
    try:
        return repr(float(text))
    except ValueError:
        return text


def _zone(zone: str | None) -> str:
    if zone is None:
        return ""
    if zone in ("UTC", "Z"):
        return "+00:00"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"
