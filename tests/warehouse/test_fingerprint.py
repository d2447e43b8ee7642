"""Equal values have the same fingerprint in the lake and in the warehouse, whatever their type; others have not."""

import datetime as dt
import hashlib
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from etl_runtime.warehouse.lake_fingerprint import fingerprint_column, lake_fingerprint
from etl_runtime.warehouse.model import ChangeSet, Fingerprint, WarehouseColumn, WarehouseTable
from tests.warehouse.conftest import Lake, Schema

UTC = dt.UTC
EDGE_FLOATS = [
    float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0, -1.0, 0.1, 0.1 + 0.2, 1 / 3, -2.5e-10, 1e300, -1e-300,
    5e-324, -2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 2.0**53, 2.0**53 + 2, 2.0**-1022,
    *(2.0**n for n in (-1074, -537, -1, 29, 1023)), *((2.0**n) * (1 - 2.0**-53) for n in (-1, 3, 29, 31, 512, 1023)),
]  # fmt: skip

VALUES: dict[str, tuple[pa.DataType, list[object]]] = {
    "boolean": (pa.bool_(), [True, False]),
    "int": (pa.int32(), [0, -1, 2**31 - 1, -(2**31)]),
    "bigint": (pa.int64(), [0, -1, 2**63 - 1, -(2**63)]),
    "float": (pa.float32(), [float("nan"), float("-inf"), -0.0, 0.1, -1.5, 1e-45, 3.4028234e38]),
    "double": (pa.float64(), list(EDGE_FLOATS)),
    "decimal(10,2)": (pa.decimal128(10, 2), [Decimal(v) for v in ("0.00", "1.10", "-0.05", "-99999999.99", "7.00")]),
    "decimal(38,0)": (pa.decimal128(38, 0), [Decimal(v) for v in ("0", "-1", "9" * 38, "-" + "9" * 38, "100")]),
    "decimal(38,10)": (pa.decimal128(38, 10), [Decimal(v) for v in ("1E-10", "-1E-10", "0E-10", "9" * 28 + ".1")]),
    "decimal(38,38)": (pa.decimal128(38, 38), [Decimal(v) for v in ("1E-38", "-0.5", "0E-38", "0." + "9" * 38)]),
    "decimal(12,12)": (pa.decimal128(12, 12), [Decimal(v) for v in ("0.5", "-0.000000000001")]),
    "string": (
        pa.string(),
        ["", "a", "NULL", "=", "|", "1:a|=", "it's \"quoted\" \\ back", "two\nlines\r\n\ttab", " spaces ", "é",
         "e\u0301", "😀👩‍👩‍👧", "日本語", "\u0001\u007f", "x" * 5000],
    ),
    "binary": (pa.binary(), [b"", b"\x00", b"\xff\x00\xfe", bytes(range(256)), b"text"]),
    "date": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1582, 10, 10), dt.date(1970, 1, 1)]),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        [dt.datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
         dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), dt.datetime(2024, 3, 31, 1, 30, tzinfo=UTC)],
    ),
    "timestamp_ntz": (
        pa.timestamp("us"),
        [dt.datetime(1, 1, 1, 0, 0, 0, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
         dt.datetime(1500, 2, 28, 12, 0, 0, 5), dt.datetime(2024, 3, 31, 2, 30)],
    ),
}  # fmt: skip


def read(spark: SparkSession, local: Path) -> DataFrame:
    """As Iceberg reads: ancient dates as they are."""
    return spark.read.option("datetimeRebaseMode", "CORRECTED").parquet(str(local))


def columns_of(frame: DataFrame) -> tuple[WarehouseColumn, ...]:
    return tuple(WarehouseColumn(field.name, field.dataType.simpleString()) for field in frame.schema)


@pytest.fixture(scope="module")
def every_type() -> pa.Table:
    """One row per value: the other columns of the row are NULL. Then a row of NULLs only."""
    count = sum(len(values) for _, values in VALUES.values()) + 1
    columns, start = {"id": pa.array(range(count), pa.int64())}, 0
    for name, (kind, values) in VALUES.items():
        cells: list[object] = [None] * count
        cells[start : start + len(values)] = values
        columns[f"a {name}"] = pa.array(cells, kind)
        start += len(values)
    return pa.table(columns)


def test_every_value_of_every_type_is_equal_row_by_row(
    spark: SparkSession, lake: Lake, schema: Schema, every_type: pa.Table
) -> None:
    url, local = lake.put(every_type)
    frame = read(spark, local)
    columns = columns_of(frame)
    assert [column.type for column in columns] == ["bigint", *VALUES]
    table = WarehouseTable("every type", columns, ("id",))
    with schema.warehouse() as warehouse:
        warehouse.apply(table, ChangeSet("full", (url,), len(every_type), 1, 0))
        assert warehouse.fingerprint(table) == lake_fingerprint(frame, columns)
        for i in (0, 20, 40, len(every_type) - 1):
            row = every_type.slice(i, 1).append_column("_etl_op", pa.array(["U"]))
            one = ChangeSet("delta", (lake.put(row)[0],), 1, 2 + i, 0)
            assert warehouse.fingerprint(table, one) == lake_fingerprint(frame.where(f"id = {i}"), columns)


@pytest.mark.parametrize("name", VALUES)
def test_each_value_of_a_type_has_a_text_of_its_own(spark: SparkSession, lake: Lake, name: str) -> None:
    kind, values = VALUES[name]
    _, local = lake.put(pa.table({"v": pa.array([*values, None], kind)}))
    frame = read(spark, local)
    hashes = frame.select(fingerprint_column(columns_of(frame)).alias("h")).distinct().count()
    # 0.0 and -0.0 are the same value.
    same = 1 if name == "double" else 0
    distinct = len({str(value) for value in values}) - same
    assert hashes == distinct + 1


def test_a_value_does_not_move_to_the_next_column_unseen(spark: SparkSession) -> None:
    columns = (WarehouseColumn("a", "string"), WarehouseColumn("b", "string"))
    rows = [("x", None), (None, "x"), ("x", ""), ("", "x"), ("x|=1:y", None), ("x", "y"), (None, None), ("", "")]
    frame = spark.createDataFrame(rows, "a string, b string")
    assert frame.select(fingerprint_column(columns).alias("h")).distinct().count() == len(rows)


def test_the_fingerprint_of_no_rows_is_zero(spark: SparkSession) -> None:
    frame = spark.createDataFrame([], "a string")
    assert lake_fingerprint(frame, (WarehouseColumn("a", "string"),)) == Fingerprint(0, 0)


def test_the_checksum_is_the_first_60_bits_of_md5(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a",)], "v string")
    expected = int(hashlib.md5(b"=1:a").hexdigest()[:15], 16)
    assert lake_fingerprint(frame, (WarehouseColumn("v", "string"),)) == Fingerprint(1, expected)


def test_a_session_in_another_time_zone_is_refused(spark: SparkSession) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Europe/Berlin")
    try:
        with pytest.raises(ValueError, match="Europe/Berlin"):
            fingerprint_column((WarehouseColumn("v", "timestamp_ntz"),))
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
