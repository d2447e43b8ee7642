"""A pipeline's own pure function DataFrame -> DataFrame, loaded from the bundle."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import cast

from pyspark.sql import DataFrame

from etl_model.pipeline import Table
from etl_runtime.errors import EtlError


def apply_transform(frame: DataFrame, table: Table, folder: Path, kept: tuple[str, ...]) -> DataFrame:
    """The frame as the pipeline's function leaves it; EtlError when it fails, or loses a key or one of `kept`."""
    if table.transform is None:
        return frame
    result = _function(table, folder)(frame)
    needed = (*kept, *table.primary_key)
    missing = [name for name in needed if name not in result.columns]
    if missing:
        raise EtlError(
            where=f"table {table.name} transform {table.transform}",
            what=f"its result lacks {', '.join(missing)}",
            way_out="Keep the key and every column that begins with _etl_: use withColumn, where and drop rather than select",
        )
    return result


def _function(table: Table, folder: Path) -> Callable[[DataFrame], DataFrame]:
    file, _, name = (table.transform or "").partition(":")
    where = f"table {table.name} transform {table.transform}"
    spec = importlib.util.spec_from_file_location(f"pipeline_{file.removesuffix('.py')}", folder / file)
    if spec is None or spec.loader is None:
        raise EtlError(where=where, what=f"{file} cannot be imported", way_out="Put it beside the pipeline file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise EtlError(where=where, what=f"{file} fails to import: {error}", way_out="Correct it and deploy") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise EtlError(
            where=where, what=f"{file} has no function {name}", way_out="Correct `transform` in the pipeline file"
        )
    return cast(Callable[[DataFrame], DataFrame], found)
