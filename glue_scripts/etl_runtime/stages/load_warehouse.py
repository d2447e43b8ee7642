"""Load, the warehouse's part: what it has not acknowledged, oldest first, then the comparison with the lake."""

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
from etl_runtime.warehouse.model import ChangeSet, OutOfSequence, WarehouseColumn, WarehouseTable

_ZONES = ("curated", "staging", "analytics")


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
    errors: list[EtlError] = []
    with Warehouse(
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
    ) as warehouse:
        prepared = False
        for name in wanted:
            seq, layer = _published_seq(context, lake, name)
            if not seq:
                continue
            if not prepared:
                if connection.storage_integration is None:
                    warehouse.create_plain_stages()
                warehouse.prepare()
                prepared = True
            try:
                _load_table(context, lake, warehouse, name, layer, seq)
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


def _load_table(context: RunContext, lake: Lake, warehouse: Warehouse, name: str, layer: str, seq: int) -> None:
    held = warehouse.acknowledged(name)
    if held == seq:
        return
    lake_name = context.table_name(layer, name)
    columns = tuple(WarehouseColumn(column, kind) for column, kind in lake.columns(lake_name) if column not in VERSION)
    keys = next((m.primary_key for m in context.pipeline.marts if m.name == name), None)
    table = WarehouseTable(
        name=name, columns=columns, key=tuple(context.pipeline.table(name).primary_key if keys is None else keys)
    )
    chain = changes_between(context.s3, context.names, context.pipeline.name, name, after=held or 0, upto=seq)
    try:
        if chain is None:
            raise OutOfSequence(
                where=f"table {name}", what="its change sets are not all there", way_out="Load it in full"
            )
        change = None
        for link in chain:
            change = _change_set(link)
            warehouse.apply(table, change)
    except OutOfSequence:
        context.log.line("full_load", f"{name}: loading the whole table into the warehouse", table=name)
        change = _whole_table(context, lake, name, lake_name, seq)
        warehouse.apply(table, change)
    assert change is not None
    # One change set: its keys are compared. More than one, or a whole table: everything.
    _compare(context, lake, warehouse, table, lake_name, change if chain is not None and len(chain) == 1 else None)


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


def _compare(
    context: RunContext,
    lake: Lake,
    warehouse: Warehouse,
    table: WarehouseTable,
    lake_name: str,
    change: ChangeSet | None,
) -> None:
    """Rows of the whole table, and checksum of the changed keys (of everything after a full load), on both sides."""
    frame = context.spark.table(full_name(lake_name)).drop(*VERSION)
    part = change if change is not None and change.kind == "delta" else None
    lake_rows = frame.count()
    if part is not None:
        keys = context.spark.table(full_name(context.table_name("staging", f"{table.name}__changes")))
        chosen = keys.select(*(quoted(key) for key in table.key))
        there = lake_fingerprint(
            frame.join(chosen, on=list(table.key), how="left_semi").select(*(quoted(c.name) for c in table.columns)),
            table.columns,
        )
    else:
        there = lake_fingerprint(frame, table.columns)
    here = warehouse.fingerprint(table, part)
    warehouse_rows = warehouse.rows(table)
    equal = here == there and lake_rows == warehouse_rows
    context.report.comparison.append(
        {
            "table": table.name,
            "lake_rows": lake_rows,
            "warehouse_rows": warehouse_rows,
            "compared_rows": there.rows,
            "lake_checksum": str(there.checksum),
            "warehouse_checksum": str(here.checksum),
            "equal": equal,
        }
    )
    context.report.tables.setdefault(table.name, {})["warehouse_rows"] = warehouse_rows
    context.log.line(
        "compared", f"{table.name}: lake and warehouse are {'equal' if equal else 'DIFFERENT'}", table=table.name
    )
    if not equal:
        raise EtlError(
            where=f"table {table.name} comparison",
            what=f"the lake has {lake_rows} rows with checksum {there.checksum} ({there.rows} compared), the warehouse "
            f"{warehouse_rows} with {here.checksum} ({here.rows} compared)",
            way_out="Somebody else has written to the warehouse table; delete its rows from ETL_LOADS and resume to load it in full",
        )
