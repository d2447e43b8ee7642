"""From raw rows to the rows to load: newest version of each key, declared casts, and what is wrong with a row."""

import re

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Table

VIOLATIONS = "_etl_violations"
META = ("_etl_seq", "_etl_row", "_etl_op")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def latest_rows(raw: DataFrame, table: Table, *, key_is_unique: bool, several_seqs: bool) -> DataFrame:
    """The rows of the newest seq of each key, with `_etl_violations` (array<string>: why a row must not be loaded).

    In one extract of one snapshot a key stands once; rows that share it there are all in violation, since nothing tells
    which of them is right. `key_is_unique` says that the source's own constraint guarantees it.
    """
    keys = [_quoted(key) for key in table.primary_key]
    violations: list[Column] = [
        F.when(F.col(key).isNull(), F.lit(f"IsComplete {name!r} (primary key)"))
        for key, name in zip(keys, table.primary_key, strict=True)
    ]
    frame = raw
    if keys and table.load != "append" and several_seqs:
        newest = Window.partitionBy(*keys).orderBy(F.col("_etl_seq").desc())
        no_key = F.lit(False)
        for key in keys:
            no_key = no_key | F.col(key).isNull()
        frame = frame.withColumn("_etl_rank", F.rank().over(newest))
        frame = frame.where((F.col("_etl_rank") == 1) | no_key).drop("_etl_rank")
    if keys and not key_is_unique:
        same = Window.partitionBy(*keys, "_etl_seq")
        frame = frame.withColumn("_etl_same", F.count(F.lit(1)).over(same))
        complete = F.lit(True)
        for key in keys:
            complete = complete & F.col(key).isNotNull()
        violations.append(
            F.when(
                (F.col("_etl_same") > 1) & complete,
                F.lit(f"IsPrimaryKey {' '.join(repr(k) for k in table.primary_key)} (primary key)"),
            )
        )
    cast, failed = _casts(frame, table)
    columns = [cast.get(name, F.col(_quoted(name))).alias(name) for name in raw.columns if name not in META]
    all_violations = [*violations, *failed]
    found = (
        F.filter(F.array(*all_violations), lambda rule: rule.isNotNull())
        if all_violations
        else F.array().cast("array<string>")
    )
    # A tombstone has its key and nothing else: there is nothing in it to judge.
    judged = F.when(F.col("_etl_op") == "D", F.array().cast("array<string>")).otherwise(found)
    return frame.select(*columns, *META, judged.alias(VIOLATIONS))


def _casts(frame: DataFrame, table: Table) -> tuple[dict[str, Column], list[Column]]:
    """Declared casts that keep the value exactly, and a violation for each value that does not survive."""
    kinds = dict(frame.dtypes)
    cast: dict[str, Column] = {}
    failed: list[Column] = []
    for name, kind in table.casts.items():
        if kinds[name] == kind:
            continue
        column = F.col(_quoted(name))
        converted = F.expr(f"try_cast({_quoted(name)} as {kind})")
        exact = converted.isNotNull()
        decimal = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", kind)
        if decimal:
            # Rounding must not pass for a cast: the value with all the digits that fit has to be the same.
            precision, scale = int(decimal[1]), int(decimal[2])
            widest = 38 - (precision - scale)
            exact = exact & converted.eqNullSafe(F.expr(f"try_cast({_quoted(name)} as decimal(38,{widest}))"))
        cast[name] = converted
        failed.append(F.when(column.isNotNull() & ~exact, F.lit(f"ColumnDataType {name!r} = {kind} (cast)")))
    return cast, failed
