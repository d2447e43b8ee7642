"""Load, the warehouse's part: what it has not acknowledged, oldest first, then the comparison with the lake."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from etl_model.environment import SnowflakeConnection
from etl_runtime.change_log import PublishedChange, changes_between
from etl_runtime.changes import VERSION
from etl_runtime.connections import read_secret, resolve_connection
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError, one_or_many
from etl_runtime.iceberg import Lake, full_name, quoted
from etl_runtime.staging import replace_working_table
from etl_runtime.state import loaded_state, mart_state
from etl_runtime.warehouse.connection import connect
from etl_runtime.warehouse.lake_fingerprint import lake_fingerprint
from etl_runtime.warehouse.load import Warehouse
from etl_runtime.warehouse.model import ChangeSet, Fingerprint, OutOfSequence, WarehouseColumn, WarehouseTable

_ZONES = ("curated", "staging", "analytics")
_SUMS_AHEAD = 2


def load_warehouse(context: RunContext, lake: Lake) -> None:
    """Brings every warehouse table to the published lake; EtlError when they differ afterwards."""
    target = context.pipeline.warehouse
    if target is None:
        return
    connection = resolve_connection(target.connection, context.names)
    if not isinstance(connection, SnowflakeConnection):
        raise EtlError(
            where=f"connection {target.connection}",
            what=f"{connection.kind} is no warehouse",
            way_out="Supported: snowflake",
        )
    secret = read_secret(connection.secret, context.names.region)
    stages = {context.names.bucket(zone): f"ETL_{zone.upper()}" for zone in _ZONES}  # type: ignore[arg-type]  # Zones
    wanted = [
        name
        for name in target.tables
        if not context.run.tables or name in context.run.tables or _is_mart(context, name)
    ]
    published = [(name, *_published_seq(context, lake, name)) for name in wanted]
    published = [(name, seq, layer) for name, seq, layer in published if seq]
    if not published:
        return
    errors: list[EtlError] = []
    with (
        Warehouse(
            connect=lambda: connect(
                connection,
                secret,
                query_tag=f"etl {context.pipeline.name} {context.run_id}",
                database=target.database,
                schema=target.schema_,
            ),
            database=target.database,
            schema=target.schema_,
            stages=stages,
            run_id=context.run_id,
        ) as warehouse,
        # Spark sums up the lake's side while Snowflake loads its own.
        ThreadPoolExecutor(_SUMS_AHEAD) as pool,
    ):
        if connection.storage_integration is None:
            warehouse.create_plain_stages()
        warehouse.prepare()
        plans = [_plan(context, lake, warehouse, name, layer, seq) for name, seq, layer in published]
        loads = [(plan, pool.submit(_lake_side, context, plan)) for plan in plans if plan is not None]
        for plan, lake_side in loads:
            try:
                _load_table(context, lake, warehouse, plan, lake_side)
            except EtlError as error:
                errors.append(error)
    if errors:
        raise one_or_many(errors)


def _is_mart(context: RunContext, name: str) -> bool:
    return any(mart.name == name for mart in context.pipeline.marts)


def _published_seq(context: RunContext, lake: Lake, name: str) -> tuple[int, str]:
    if _is_mart(context, name):
        return mart_state(lake.properties(context.table_name("analytics", name))).seq, "analytics"
    return loaded_state(lake.properties(context.table_name("curated", name))).loaded_seq, "curated"


@dataclass(frozen=True)
class _Plan:
    """What one table needs: the chain of changes from what the warehouse holds, or None to load it in full."""

    table: WarehouseTable
    lake_name: str
    seq: int
    chain: list[PublishedChange] | None

    @property
    def only_delta(self) -> ChangeSet | None:
        """The one change set whose keys it is enough to compare; None when the whole table has to be."""
        if self.chain is not None and len(self.chain) == 1 and self.chain[0].kind == "delta":
            return _change_set(self.chain[0])
        return None


def _plan(context: RunContext, lake: Lake, warehouse: Warehouse, name: str, layer: str, seq: int) -> _Plan | None:
    """None when the warehouse has acknowledged what is published."""
    held = warehouse.acknowledged(name)
    if held == seq:
        return None
    lake_name = context.table_name(layer, name)
    columns = tuple(WarehouseColumn(column, kind) for column, kind in lake.columns(lake_name) if column not in VERSION)
    mart_key = next((mart.primary_key for mart in context.pipeline.marts if mart.name == name), None)
    key = context.pipeline.table(name).primary_key if mart_key is None else mart_key
    chain = changes_between(context.s3, context.names, context.pipeline.name, name, after=held or 0, upto=seq)
    return _Plan(table=WarehouseTable(name, columns, tuple(key)), lake_name=lake_name, seq=seq, chain=chain)


def _load_table(
    context: RunContext, lake: Lake, warehouse: Warehouse, plan: _Plan, lake_side: "Future[_LakeSide]"
) -> None:
    name = plan.table.name

    def compare(part: ChangeSet | None, side: Callable[[], _LakeSide]) -> Callable[[], None]:
        return lambda: _compare(context, warehouse, plan.table, side(), part)

    try:
        if plan.chain is None:
            raise OutOfSequence(where=f"table {name}", what="a change set is missing", way_out="Load it in full")
        for link in plan.chain[:-1]:
            warehouse.apply(plan.table, _change_set(link))
        last = _change_set(plan.chain[-1])
        warehouse.apply(plan.table, last, verify=compare(plan.only_delta, lake_side.result))
    except OutOfSequence:
        context.log.line("full_load", f"{name}: loading the whole table into the warehouse", table=name)
        whole = _whole_table(context, lake, name, plan.lake_name, plan.seq)
        full = replace(plan, chain=None)
        warehouse.apply(plan.table, whole, verify=compare(None, lambda: _lake_side(context, full)))


def _change_set(link: PublishedChange) -> ChangeSet:
    return ChangeSet(kind=link.kind, files=link.files, rows=link.rows, seq=link.seq, after_seq=link.after_seq)


def _whole_table(context: RunContext, lake: Lake, name: str, lake_name: str, seq: int) -> ChangeSet:
    """The published table as files; merged on write first where rows of its files are deleted."""
    files, deletes = lake.files(lake_name)
    if deletes:
        export = context.table_name("staging", f"{name}__export")
        replace_working_table(lake, export, context.spark.table(full_name(lake_name)).drop(*VERSION))
        files, _ = lake.files(export)
    return ChangeSet(
        kind="full", files=tuple(f.path for f in files), rows=sum(f.rows for f in files), seq=seq, after_seq=0
    )


@dataclass(frozen=True)
class _LakeSide:
    """Rows of the published table, and the fingerprint of the part that is compared."""

    rows: int
    compared: Fingerprint


def _lake_side(context: RunContext, plan: _Plan) -> _LakeSide:
    frame = context.spark.table(full_name(plan.lake_name)).drop(*VERSION)
    if plan.only_delta is None:
        whole = lake_fingerprint(frame, plan.table.columns)
        return _LakeSide(rows=whole.rows, compared=whole)
    changes = context.spark.table(full_name(context.table_name("staging", f"{plan.table.name}__changes")))
    keys = changes.select(*(quoted(key) for key in plan.table.key))
    part = frame.join(keys, on=list(plan.table.key), how="left_semi").select(
        *(quoted(c.name) for c in plan.table.columns)
    )
    return _LakeSide(rows=frame.count(), compared=lake_fingerprint(part, plan.table.columns))


def _compare(
    context: RunContext, warehouse: Warehouse, table: WarehouseTable, lake: _LakeSide, part: ChangeSet | None
) -> None:
    """Rows of the whole table, and checksum of the changed keys (of everything after a full load), on both sides."""
    here = warehouse.fingerprint(table, part)
    warehouse_rows = here.rows if part is None else warehouse.rows(table)
    equal = here == lake.compared and lake.rows == warehouse_rows
    context.report.comparison.append(
        {
            "table": table.name,
            "lake_rows": lake.rows,
            "warehouse_rows": warehouse_rows,
            "compared_rows": lake.compared.rows,
            "lake_checksum": str(lake.compared.checksum),
            "warehouse_checksum": str(here.checksum),
            "equal": equal,
        }
    )
    context.report.tables.setdefault(table.name, {})["warehouse_rows"] = warehouse_rows
    outcome = "equal" if equal else "DIFFERENT"
    context.log.line("compared", f"{table.name}: lake and warehouse are {outcome}", table=table.name)
    if not equal:
        raise EtlError(
            where=f"table {table.name} comparison",
            what=f"the lake has {lake.rows} rows with checksum {lake.compared.checksum} ({lake.compared.rows} compared), "
            f"the warehouse {warehouse_rows} with {here.checksum} ({here.rows} compared)",
            way_out="Nothing of this load was kept there. Somebody else has written the warehouse table; delete its rows "
            "from ETL_LOADS and resume, to load it in full",
        )
