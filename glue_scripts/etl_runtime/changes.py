"""The change set of a load: what each valid row does to the curated table, judged by key, version and content."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_runtime.iceberg import quoted

INSERT, UPDATE, DELETE = "I", "U", "D"
# These change nothing: equal content, a version that is not newer than the one there, a delete of what is not there.
UNCHANGED, STALE, ABSENT = "unchanged", "stale", "absent"
APPLIED = (INSERT, UPDATE, DELETE)
VERSION = ("_etl_seq", "_etl_row")


def classify(valid: DataFrame, curated: DataFrame, *, keys: Sequence[str], compare_content: bool) -> DataFrame:
    """`valid` (one row per key) with `_etl_op` replaced by what it does to `curated`: one of the constants above.

    `compare_content` also tells rows that are equal to the ones there; without it a newer version is an update.
    """
    data = [name for name in valid.columns if not name.startswith("_etl_")]
    there = [name for name in data if name in curated.columns]
    kept = [*keys, *VERSION, *([name for name in there if name not in keys] if compare_content else [])]
    current = curated.select(*(F.col(quoted(name)).alias(f"_etl_current_{i}") for i, name in enumerate(kept)))
    position = {name: F.col(f"_etl_current_{i}") for i, name in enumerate(kept)}
    same_key = _all([F.col(quoted(key)) == position[key] for key in keys])
    joined = valid.join(current, on=same_key, how="left")
    exists = position[keys[0]].isNotNull()
    newer = F.struct(*(F.col(name) for name in VERSION)) > F.struct(*(position[name].alias(name) for name in VERSION))
    equal: Column = F.lit(False)
    if compare_content:
        equal = _all(
            [F.col(quoted(name)).eqNullSafe(position[name]) for name in there]
            # A column that curated does not have yet changes a row only where it has a value.
            + [F.col(quoted(name)).isNull() for name in data if name not in there]
        )
    deletes = F.col("_etl_op") == "D"
    op = (
        F.when(deletes & ~exists, ABSENT)
        .when(~exists, INSERT)
        .when(~newer, STALE)
        .when(deletes, DELETE)
        .when(equal, UNCHANGED)
        .otherwise(UPDATE)
    )
    return joined.select(*(F.col(quoted(name)) for name in data), *VERSION, op.alias("_etl_op"))


def _all(conditions: Sequence[Column]) -> Column:
    result = conditions[0]
    for condition in conditions[1:]:
        result = result & condition
    return result


def merge_statement(target: str, changes: str, *, keys: Sequence[str], columns: Sequence[str]) -> str:
    """MERGE of a change set (I, U, D; one row per key) into `target`; both are quoted names, `columns` those to write."""
    on = " AND ".join(f"t.{quoted(key)} = c.{quoted(key)}" for key in keys)
    updates = ", ".join(f"t.{quoted(name)} = c.{quoted(name)}" for name in columns)
    names, values = ", ".join(map(quoted, columns)), ", ".join(f"c.{quoted(name)}" for name in columns)
    return (
        f"MERGE INTO {target} t USING {changes} c ON {on} "
        f"WHEN MATCHED AND c._etl_op = '{DELETE}' THEN DELETE "
        f"WHEN MATCHED THEN UPDATE SET {updates} "
        f"WHEN NOT MATCHED AND c._etl_op = '{INSERT}' THEN INSERT ({names}) VALUES ({values})"
    )
