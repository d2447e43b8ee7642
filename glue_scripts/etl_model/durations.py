"""Durations as people write them in the files: 90s, 15m, 26h, 7d."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: object) -> timedelta:
    """A non-negative whole number with its unit, as a timedelta; ValueError names the form otherwise."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d{1,6})([smhd])", str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration: a whole number and its unit, such as 90s, 15m, 26h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
