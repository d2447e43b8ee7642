"""The slices of one table, read by Spark's executors."""

from collections.abc import Sequence
from functools import partial

from pyspark import Broadcast, SparkContext

from etl_runtime.errors import EtlError, one_or_many
from etl_runtime.postgresql.copy_slice import Slice, SliceResult, copy_slice
from etl_runtime.row_hash import hashes_from_bytes


def read_slices(context: SparkContext, parts: Sequence[Slice], known: bytes | None) -> list[SliceResult]:
    """One task a slice, in the order given. EtlErrors of the tasks arrive as they were raised, not as traces."""
    broadcast = context.broadcast(known) if known is not None else None
    outcomes = context.parallelize(parts, len(parts)).map(partial(_read, broadcast)).collect()
    if broadcast is not None:
        broadcast.destroy()
    errors = [EtlError(where=item[0], what=item[1], way_out=item[2]) for item in outcomes if isinstance(item, tuple)]
    if errors:
        raise one_or_many(errors)
    return [item for item in outcomes if isinstance(item, SliceResult)]


def _read(known: "Broadcast[bytes] | None", part: Slice) -> SliceResult | tuple[str, str, str]:
    try:
        return copy_slice(part, (lambda: hashes_from_bytes(known.value)) if known is not None else None)
    except EtlError as error:
        return error.where, error.what, error.way_out
