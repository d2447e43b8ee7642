"""The statements that change a warehouse table from its staging table. Pure text."""

from etl_runtime.warehouse.identifiers import identifier
from etl_runtime.warehouse.model import OP_COLUMN, WarehouseTable


def replace_sql(table: WarehouseTable, *, target: str, staged: str) -> str:
    """INSERT OVERWRITE stays inside the open transaction, which TRUNCATE would commit."""
    columns = _columns(table)
    return f"INSERT OVERWRITE INTO {target} ({columns}) SELECT {columns} FROM {staged}"


def append_sql(table: WarehouseTable, *, target: str, staged: str) -> str:
    columns = _columns(table)
    return f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {staged}"


def merge_sql(table: WarehouseTable, *, target: str, staged: str) -> str:
    """By key: D deletes, I and U insert or update, so that what is repeated changes nothing more."""
    names = [identifier(column.name) for column in table.columns]
    key = [identifier(name) for name in table.key]
    op = identifier(OP_COLUMN)
    update = ", ".join(f"{name} = S.{name}" for name in names if name not in key)
    return " ".join(
        [
            f"MERGE INTO {target} AS T USING (SELECT * FROM {staged}) AS S",
            f"ON {' AND '.join(f'T.{name} = S.{name}' for name in key)}",
            f"WHEN MATCHED AND S.{op} = 'D' THEN DELETE",
            *([f"WHEN MATCHED THEN UPDATE SET {update}"] if update else []),
            f"WHEN NOT MATCHED AND S.{op} <> 'D' THEN",
            f"INSERT ({', '.join(names)}) VALUES ({', '.join(f'S.{name}' for name in names)})",
        ]
    )


def _columns(table: WarehouseTable) -> str:
    return ", ".join(identifier(column.name) for column in table.columns)
