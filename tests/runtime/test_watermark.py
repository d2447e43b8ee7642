"""No watermark passes a row that the source could still show."""

from etl_runtime.watermark import next_watermark

CLOCK = "2026-01-02 12:00:00+00"


def after(kind: str, *largest: str | None, previous: str | None = None, safe_until: str = CLOCK) -> str | None:
    return next_watermark(kind=kind, previous=previous, largest=list(largest), safe_until=safe_until)


def test_the_watermark_is_the_largest_cursor_of_all_slices() -> None:
    assert (
        after("timestamp", "2026-01-01 10:00:00+00:00", None, "2026-01-01 11:00:00+00:00")
        == "2026-01-01 11:00:00+00:00"
    )


def test_a_transaction_that_was_open_at_the_snapshot_holds_the_watermark_back() -> None:
    assert (
        after("timestamp", "2026-01-02 11:59:59+00:00", safe_until="2026-01-02 11:00:00+00")
        == "2026-01-02 11:00:00+00:00"
    )


def test_a_cursor_in_the_future_does_not_carry_the_watermark_past_the_clock() -> None:
    assert after("timestamp", "9999-12-31 00:00:00+00:00") == "2026-01-02 12:00:00+00:00"


def test_the_watermark_never_goes_back() -> None:
    assert (
        after("timestamp", "2025-01-01 00:00:00+00:00", previous="2026-01-01 00:00:00+00:00")
        == "2026-01-01 00:00:00+00:00"
    )
    assert after("bigint", "7", previous="9") == "9"


def test_a_read_without_rows_keeps_the_watermark() -> None:
    assert after("timestamp", None, previous="2026-01-01 00:00:00+00:00") == "2026-01-01 00:00:00+00:00"
    assert after("bigint", None) is None


def test_integers_have_no_clock() -> None:
    assert after("bigint", "12", "9") == "12"


def test_a_number_of_a_transaction_that_is_still_open_is_not_passed() -> None:
    held = next_watermark(kind="bigint", previous="3", largest=["12"], safe_until=CLOCK, hold_numbers=True)
    assert held == "3"


def test_a_time_without_zone_is_bounded_by_the_earliest_place() -> None:
    assert after("timestamp_ntz", "2026-01-02 07:00:00", safe_until="2026-01-02 11:30:00+00") == "2026-01-01 23:30:00"


def test_dates_and_times_without_zone_keep_their_form() -> None:
    assert after("date", "2025-12-31") == "2025-12-31"
    assert after("timestamp_ntz", "2025-12-31 10:00:00.000001") == "2025-12-31 10:00:00.000001"
