"""Rows are told apart by every value, its absence and its column."""

import datetime
from decimal import Decimal

import pyarrow as pa

from etl_runtime.row_hash import hashes_from_bytes, row_hashes

SCHEMA = pa.schema(
    [
        ("i", pa.int32()),
        ("d", pa.decimal128(10, 2)),
        ("t", pa.timestamp("us", tz="UTC")),
        ("s", pa.string()),
        ("b", pa.binary()),
        ("f", pa.float64()),
        ("x", pa.bool_()),
        ("y", pa.date32()),
    ]
)
ROW = {
    "i": 1,
    "d": Decimal("1.10"),
    "t": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "s": "a",
    "b": b"\x00\xff",
    "f": 0.1,
    "x": True,
    "y": datetime.date(1, 1, 1),
}


def hashed(*rows: dict[str, object]) -> list[bytes]:
    batch = pa.RecordBatch.from_pylist([{**ROW, **row} for row in rows], schema=SCHEMA)
    found: list[bytes] = row_hashes(batch).to_pylist()
    return found


def test_equal_rows_have_equal_hashes() -> None:
    first, second = hashed({}, {})
    assert first == second


def test_a_change_of_any_value_changes_the_hash() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"i": 2},
        {"d": Decimal("1.11")},
        {"t": datetime.datetime(2020, 1, 1, microsecond=1, tzinfo=datetime.UTC)},
        {"s": "b"},
        {"b": b"\x00"},
        {"f": 0.2},
        {"x": False},
        {"y": datetime.date(9999, 12, 31)},
        *({name: None} for name in ROW),
    ]
    assert len(set(hashed(*changes))) == len(changes)


def test_null_and_the_empty_text_differ() -> None:
    null, empty, letter = hashed({"s": None}, {"s": ""}, {"s": "N"})
    assert len({null, empty, letter}) == 3


def test_text_does_not_run_into_the_next_column() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    rows = [{"a": "1:x", "b": ""}, {"a": "1", "b": ":x"}, {"a": "", "b": "1:x"}]
    assert len(set(row_hashes(pa.RecordBatch.from_pylist(rows, schema=schema)).to_pylist())) == 3


def test_hashes_survive_being_joined_to_bytes() -> None:
    array = row_hashes(pa.RecordBatch.from_pylist([ROW, {**ROW, "i": 2}], schema=SCHEMA))
    assert hashes_from_bytes(array.buffers()[1].to_pybytes()).to_pylist() == array.to_pylist()
