"""Load: everything is prepared and audited on branches, then published, tables first and marts last, then the warehouse."""

from concurrent.futures import ThreadPoolExecutor

from etl_runtime.context import RunContext
from etl_runtime.iceberg import Lake
from etl_runtime.stages.each_table import PARALLEL_TABLES, each_table
from etl_runtime.stages.load_marts import prepare_marts, publish_mart
from etl_runtime.stages.load_tables import prepare_table, publish_table
from etl_runtime.stages.load_warehouse import load_warehouse


def load(context: RunContext) -> None:
    lake = Lake(context.spark)
    tables = [
        found for found in each_table(context, lambda table: prepare_table(context, lake, table)) if found is not None
    ]
    marts = prepare_marts(context, lake, tables)
    # From here on a retry only rolls forward: each table that is published stays so.
    with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
        list(pool.map(lambda table: publish_table(context, lake, table), tables))
        list(pool.map(lambda mart: publish_mart(context, lake, mart), marts))
    load_warehouse(context, lake)
