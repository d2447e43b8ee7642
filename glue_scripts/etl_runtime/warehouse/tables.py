"""The warehouse table follows the lake's: created by the first load, then columns added and decimals widened."""

import re
from dataclasses import dataclass

from etl_runtime.warehouse.connection import Session, query, records
from etl_runtime.warehouse.identifiers import identifier, warehouse_name
from etl_runtime.warehouse.model import SchemaConflict, WarehouseTable

# INFORMATION_SCHEMA's names for the types that model.py declares.
_SAME = {"TEXT": "VARCHAR"}
_NUMBER = re.compile(r"NUMBER\((\d+),(\d+)\)")


@dataclass(frozen=True)
class TargetTables:
    """The loaded tables of one schema, over one session. Every statement here commits by itself (DDL)."""

    session: Session
    database: str
    schema: str

    def evolve(self, table: WarehouseTable) -> None:
        """Create `table`, or add what it lacks. SchemaConflict, before any change, when a type cannot be widened."""
        present = self._present_columns(table)
        target = identifier(self.database, self.schema, table.name)
        if not present:
            declared = ", ".join(f"{identifier(column.name)} {column.declaration}" for column in table.columns)
            query(self.session, f"CREATE TABLE IF NOT EXISTS {target} ({declared})")
            return
        changes = []
        for column in table.columns:
            wanted, found = column.snowflake_type, present.get(warehouse_name(column.name))
            if found is None:
                changes.append(f"ADD COLUMN {identifier(column.name)} {column.declaration}")
            elif found != wanted and not _holds(found, wanted):
                if not _holds(wanted, found):
                    raise SchemaConflict(
                        where=f"warehouse table {table.name}, column {column.name}",
                        what=f"it is {found} in Snowflake and {wanted} in the lake, and values would change",
                        way_out=f"Rename the column in the pipeline file, or drop {target} and load it anew",
                    )
                changes.append(f"ALTER COLUMN {identifier(column.name)} SET DATA TYPE {column.declaration}")
        for change in changes:
            query(self.session, f"ALTER TABLE {target} {change}")

    def _present_columns(self, table: WarehouseTable) -> dict[str, str]:
        columns = records(
            self.session,
            "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE "
            f"FROM {identifier(self.database)}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            [warehouse_name(self.schema), warehouse_name(table.name)],
        )
        return {str(column["column_name"]): _declared_type(column) for column in columns}


def _declared_type(column: dict[str, object]) -> str:
    name = str(column["data_type"])
    if name == "NUMBER":
        return f"NUMBER({column['numeric_precision']},{column['numeric_scale']})"
    return _SAME.get(name, name)


def _holds(wide: str, narrow: str) -> bool:
    """Whether NUMBER type `wide` holds every value of `narrow`, with the same text: Snowflake cannot alter a scale."""
    outer, inner = _NUMBER.fullmatch(wide), _NUMBER.fullmatch(narrow)
    if outer is None or inner is None:
        return False
    return int(outer[1]) >= int(inner[1]) and outer[2] == inner[2]
