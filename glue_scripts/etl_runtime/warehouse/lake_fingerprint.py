"""The checksum of a table's rows, computed by Spark: the same canonical text as fingerprint.py, which describes it."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  # its usual name

from etl_runtime.warehouse.fingerprint import DIGITS
from etl_runtime.warehouse.model import Fingerprint, WarehouseColumn

_UTC = ("UTC", "Etc/UTC", "GMT", "Z", "+00:00")


def lake_fingerprint(frame: DataFrame, columns: Sequence[WarehouseColumn]) -> Fingerprint:
    """Rows and checksum of `frame`, in one pass; 0 and 0 when it is empty."""
    row = frame.agg(F.count(F.lit(1)).alias("rows"), F.sum(fingerprint_column(columns)).alias("checksum")).first()
    assert row is not None
    return Fingerprint(rows=int(row["rows"]), checksum=int(row["checksum"] or 0))


def fingerprint_column(columns: Sequence[WarehouseColumn]) -> Column:
    """A row's hash as decimal(19,0); `sum` of it over rows is the checksum. The session's time zone must be UTC."""
    session = SparkSession.getActiveSession()
    zone = session.conf.get("spark.sql.session.timeZone") if session else None
    if zone not in (None, *_UTC):
        raise ValueError(f"spark.sql.session.timeZone is {zone}; timestamps without zone are compared in UTC only")
    text = F.concat_ws("|", *(_field(column) for column in columns))
    return F.conv(F.substring(F.md5(text), 1, DIGITS), 16, 10).cast("decimal(19,0)")


def _field(column: WarehouseColumn) -> Column:
    value = F.col("`" + column.name.replace("`", "``") + "`")
    return F.when(value.isNull(), F.lit("")).otherwise(F.concat(F.lit("="), _text(column, value)))


def _text(column: WarehouseColumn, value: Column) -> Column:
    if column.decimal:
        precision, scale = column.decimal
        # A plain cast writes 1E-7 for small values.
        pattern = ("0" if precision > scale else "") + ("." + "0" * scale if scale else "")
        return F.call_function("format_number", value, F.lit(pattern))
    match column.type:
        case "boolean":
            return F.when(value, F.lit("1")).otherwise(F.lit("0"))
        case "string":
            return F.concat(F.length(value).cast("string"), F.lit(":"), value)
        case "binary":
            return F.hex(value)
        case "date":
            return F.unix_date(value).cast("string")
        case "timestamp":
            return F.unix_micros(value).cast("string")
        case "timestamp_ntz":
            return F.unix_micros(value.cast("timestamp")).cast("string")
        case "float" | "double":
            return _float_text(value.cast("double"))
        case _:
            return value.cast("string")


def _float_text(value: Column) -> Column:
    size = F.abs(value)
    exponent = F.floor(F.log2(size))
    half = F.floor((F.lit(53) - exponent) / 2)
    mantissa = size * F.pow(F.lit(2.0), half) * F.pow(F.lit(2.0), F.lit(53) - exponent - half)

    def normal(m: Column, e: Column) -> Column:
        return F.concat(m.cast("bigint").cast("string"), F.lit("p"), e.cast("bigint").cast("string"))

    digits = (
        F.when(mantissa >= 2**54, normal(mantissa / 2, exponent + 1))
        .when(mantissa < 2**53, normal(mantissa * 2, exponent - 1))
        .otherwise(normal(mantissa, exponent))
    )
    return (
        F.when(F.isnan(value), F.lit("nan"))
        .when(value == F.lit(float("inf")), F.lit("inf"))
        .when(value == F.lit(float("-inf")), F.lit("-inf"))
        .when(value == 0, F.lit("0"))
        .otherwise(F.concat(F.when(value < 0, F.lit("-")).otherwise(F.lit("")), digits))
    )
