"""The checksum of a table's rows, computed by Snowflake; lake_fingerprint.py computes the same by Spark.

A row's canonical text is its fields joined by `|`, in the order of the columns. A field is empty for NULL, else `=` and

| type | text |
|---|---|
| boolean | 1 or 0 |
| int, bigint | decimal digits |
| decimal(p,s) | digits with exactly s decimals; without the 0 before the point when p = s |
| string | number of characters, `:`, the characters |
| binary | uppercase hexadecimal |
| date | days since 1970-01-01, proleptic Gregorian |
| timestamp | microseconds since 1970-01-01 00:00 UTC |
| timestamp_ntz | microseconds since 1970-01-01 00:00 of the same clock |
| float, double | nan, inf, -inf, 0 (also for -0.0), else sign, m, `p`, e: exactly m * 2^(e - 53), 2^53 <= m < 2^54 |

A row's hash is the first 15 hexadecimal digits (60 bits) of that text's MD5; the checksum is the sum of the hashes.
"""

from collections.abc import Sequence

from etl_runtime.warehouse.identifiers import identifier
from etl_runtime.warehouse.model import WarehouseColumn

DIGITS = 15


def checksum_sql(columns: Sequence[WarehouseColumn], *, source: str) -> str:
    """`SELECT ROW_COUNT, CHECKSUM` over `source`, which is what follows FROM; the columns are those of its alias T.

    The checksum is text: clients turn wide numbers into floats.
    """
    text = f"CONCAT_WS('|', {', '.join(_field(column) for column in columns)})"
    # Valid in Snowflake and in DuckDB; TO_NUMBER with a hexadecimal format is in the first only.
    number = " + ".join(
        f"(POSITION(SUBSTR(H, {place}, 1), '0123456789abcdef') - 1) * {16 ** (DIGITS - place)}"
        for place in range(1, DIGITS + 1)
    )
    return (
        "SELECT COUNT(*) AS ROW_COUNT, TO_VARCHAR(COALESCE(SUM(N), 0)) AS CHECKSUM "
        f"FROM (SELECT CAST({number} AS NUMBER(38,0)) AS N "
        f"FROM (SELECT MD5({text}) AS H FROM {source}) AS HASHES) AS NUMBERS"
    )


def _field(column: WarehouseColumn) -> str:
    name = f"T.{identifier(column.name)}"
    return f"CASE WHEN {name} IS NULL THEN '' ELSE '=' || {_text(column, name)} END"


def _text(column: WarehouseColumn, name: str) -> str:
    if column.decimal:
        precision, scale = column.decimal
        # Snowflake writes 0.50 and DuckDB .50 where no digit fits before the point.
        return f"REPLACE(TO_VARCHAR({name}), '0.', '.')" if precision == scale else f"TO_VARCHAR({name})"
    match column.type:
        case "boolean":
            return f"CASE WHEN {name} THEN '1' ELSE '0' END"
        case "string":
            return f"TO_VARCHAR(LENGTH({name})) || ':' || {name}"
        case "binary":
            return f"HEX_ENCODE({name})"
        case "date":
            return f"TO_VARCHAR(DATEDIFF(DAY, '1970-01-01'::DATE, {name}))"
        case "timestamp":
            epoch = "'1970-01-01 00:00:00 +00:00'::TIMESTAMP_TZ"
            return f"TO_VARCHAR(DATEDIFF(MICROSECOND, {epoch}, {name}))"
        case "timestamp_ntz":
            return f"TO_VARCHAR(DATEDIFF(MICROSECOND, '1970-01-01 00:00:00'::TIMESTAMP_NTZ, {name}))"
        case "float" | "double":
            return _float_text(name)
        case _:
            return f"TO_VARCHAR({name})"


def _float_text(name: str) -> str:
    """Multiplying by powers of two is exact, so a logarithm that is off by one at a power of two can be put right."""
    exponent = f"FLOOR(LOG(2, ABS({name})))"
    half = f"FLOOR((53 - {exponent}) / 2)"
    # In two steps: 2^1127, which the smallest double needs, is no double.
    mantissa = f"(ABS({name}) * POWER(2, {half}) * POWER(2, 53 - {exponent} - {half}))"
    low, high = 2**53, 2**54

    def normal(m: str, e: str) -> str:
        return f"TO_VARCHAR(CAST({m} AS NUMBER(38,0))) || 'p' || TO_VARCHAR(CAST({e} AS NUMBER(38,0)))"

    return (
        f"CASE WHEN {name} = 'NaN'::FLOAT THEN 'nan' WHEN {name} = 'inf'::FLOAT THEN 'inf' "
        f"WHEN {name} = '-inf'::FLOAT THEN '-inf' WHEN {name} = 0 THEN '0' "
        f"ELSE CASE WHEN {name} < 0 THEN '-' ELSE '' END || "
        f"CASE WHEN {mantissa} >= {high} THEN {normal(f'{mantissa} / 2', f'{exponent} + 1')} "
        f"WHEN {mantissa} < {low} THEN {normal(f'{mantissa} * 2', f'{exponent} - 1')} "
        f"ELSE {normal(mantissa, exponent)} END END"
    )
