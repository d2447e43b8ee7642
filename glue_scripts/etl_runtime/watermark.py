"""How far a cursor may be believed: never past a row that the source could still show with a lower value."""

from datetime import UTC, date, datetime, timedelta

TIME_TYPES = ("timestamp", "timestamp_ntz", "date")


def next_watermark(
    *, kind: str, previous: str | None, largest: list[str | None], safe_until: str, hold_numbers: bool = False
) -> str | None:
    """least(largest cursor read, safe_until), and never less than before. Texts as PostgreSQL reads them.

    `safe_until` (start of the oldest transaction open at the snapshot, or the source's clock) bounds times. Numbers have
    no clock: `hold_numbers` (a writer was open, and no lag is declared) keeps the watermark where it is.
    """
    found = [text for text in largest if text is not None]
    if not found:
        return previous
    if kind not in TIME_TYPES:
        if hold_numbers:
            return previous
        numbers = [int(text) for text in found]
        return str(max(numbers) if previous is None else max(*numbers, int(previous)))
    # A time without zone may be that of any place; no place is more than 12 hours behind UTC.
    clock = _time(safe_until) if kind == "timestamp" else _time(safe_until) - timedelta(hours=12)
    newest = min(max(_time(text) for text in found), clock)
    if previous is not None:
        newest = max(newest, _time(previous))
    if kind == "date":
        return newest.date().isoformat()
    return newest.isoformat(sep=" ") if kind == "timestamp" else newest.replace(tzinfo=None).isoformat(sep=" ")


def _time(text: str) -> datetime:
    """A date, or a timestamp; what has no zone counts as UTC."""
    if len(text) == 10:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
