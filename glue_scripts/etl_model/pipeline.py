"""The pipeline file: what moves, how it is loaded and what must hold. See pipelines/."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from etl_model.dqdl import DqdlError, Ruleset, columns, parse
from etl_model.durations import parse_duration
from etl_model.environment import Name, Strict

ColumnName = Annotated[str, Field(min_length=1, max_length=255)]
TableName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
CAST_TYPES = (
    r"^(boolean|int|bigint|float|double|decimal\(\d{1,2},\s*\d{1,2}\)|string|binary|date|timestamp|timestamp_ntz)$"
)
_RESERVED = ("_etl_", "__")
SHARED_STACKS = ("storage", "network", "connections", "monitoring")


class Source(Strict):
    """Where a table comes from: a connection of the environment, and a table or a query in it."""

    connection: Name
    table: str | None = Field(
        default=None, min_length=1, max_length=255, description="schema.table, as the database spells it"
    )
    query: str | None = Field(default=None, min_length=1, max_length=100_000)

    @model_validator(mode="after")
    def _table_or_query(self) -> "Source":
        if (self.table is None) == (self.query is None):
            raise ValueError("give exactly one of `table` and `query`")
        if self.query is not None and ";" in self.query.rstrip().rstrip(";"):
            raise ValueError("`query` holds more than one statement; keep the SELECT alone")
        return self


class Cursor(Strict):
    """A column that grows with every change; `lag` re-reads what may have been committed late."""

    column: ColumnName
    lag: timedelta | int = Field(
        default=timedelta(0), description="A duration for dates and times, a number for integers"
    )

    @field_validator("lag", mode="before")
    @classmethod
    def _duration_or_number(cls, value: object) -> timedelta | int:
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 0:
                raise ValueError("a lag is not negative")
            return value
        return parse_duration(value)


class Table(Strict):
    """One table of a pipeline."""

    name: TableName
    source: Source
    primary_key: list[ColumnName] = Field(default_factory=list, max_length=32)
    load: Literal["append", "merge", "replace"]
    cursor: Cursor | None = None
    deletes: Literal["ignore", "compare_keys"] = "ignore"
    max_deleted_percent: float = Field(default=10, gt=0, le=100)
    slices: int | None = Field(default=None, ge=1, le=256, description="None: by the table's size")
    schema_drift: Literal["evolve", "freeze"] = "evolve"
    casts: dict[ColumnName, Annotated[str, Field(pattern=CAST_TYPES)]] = Field(default_factory=dict)
    transform: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*\.py:[a-z_][a-z0-9_]*$")
    partition_by: list[Annotated[str, Field(min_length=1, max_length=300)]] = Field(default_factory=list)
    checks: str | None = None
    on_failed_row: Literal["quarantine", "halt"] = "quarantine"

    @model_validator(mode="before")
    @classmethod
    def _name_is_not_reserved(cls, data: object) -> object:
        name = data.get("name") if isinstance(data, dict) else None
        if isinstance(name, str) and any(mark in name for mark in _RESERVED):
            raise ValueError(
                f"table name {name!r} contains a reserved mark ({' or '.join(_RESERVED)}); choose another name"
            )
        return data

    @field_validator("partition_by")
    @classmethod
    def _known_transforms(cls, values: list[str]) -> list[str]:
        for value in values:
            if not re.fullmatch(r"(years|months|days|hours)\(\w+\)|(bucket|truncate)\(\d+,\s*\w+\)|\w+", value):
                raise ValueError(
                    f"{value!r} is not a partition: column, years(c), months(c), days(c), hours(c), bucket(n, c), truncate(n, c)"
                )
        return values

    @field_validator("casts")
    @classmethod
    def _decimals_fit(cls, values: dict[str, str]) -> dict[str, str]:
        for column, kind in values.items():
            found = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", kind)
            if found and not 0 <= int(found[2]) <= int(found[1]) <= 38:
                raise ValueError(f"{column}: {kind} is no decimal: precision 1 to 38, scale 0 to the precision")
        return values

    @field_validator("checks")
    @classmethod
    def _rules_parse(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse(value)
            except DqdlError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _parts_agree(self) -> "Table":
        wrong = []
        if self.load == "merge" and not self.primary_key:
            wrong.append("load: merge needs primary_key")
        if self.load == "append" and self.cursor and not self.primary_key:
            wrong.append("load: append with a cursor needs primary_key, to tell a row read again from a new one")
        if self.load == "append" and not self.cursor:
            wrong.append(
                "load: append needs a cursor; without one every run would add the whole table again (use replace)"
            )
        if self.load == "replace" and self.cursor:
            wrong.append("load: replace reads the whole table, so it takes no cursor")
        if self.deletes == "compare_keys" and self.load != "merge":
            wrong.append("deletes: compare_keys needs load: merge")
        if len(set(self.primary_key)) != len(self.primary_key):
            wrong.append("primary_key names a column twice")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def ruleset(self) -> Ruleset:
        return parse(self.checks) if self.checks else Ruleset(rules=())

    @property
    def needed_columns(self) -> dict[str, str]:
        """Column name to the key of this file that names it, for errors about columns that a source lacks."""
        named = dict.fromkeys(self.primary_key, "primary_key")
        if self.cursor:
            named.setdefault(self.cursor.column, "cursor.column")
        for column in self.casts:
            named.setdefault(column, "casts")
        if not self.transform:  # a transform may add the columns that checks judge
            for rule in self.ruleset.rules:
                for column in columns(rule):
                    named.setdefault(column, "checks")
        return named


class Mart(Strict):
    """A table of the analytics layer, computed by a SELECT over this pipeline's tables, which it names plainly."""

    name: TableName
    sql: str = Field(pattern=r"^[A-Za-z0-9_.-]+\.sql$")
    primary_key: list[ColumnName] = Field(default_factory=list)


class Warehouse(Strict):
    """Which tables and marts the warehouse gets, and where."""

    connection: Name
    database: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$")
    schema_: str = Field(alias="schema", pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$")
    tables: list[TableName] = Field(min_length=1)


class Workers(Strict):
    """Glue workers of each of the four jobs."""

    type: Literal["G.1X", "G.2X", "G.4X", "G.8X", "G.12X", "G.16X", "R.1X", "R.2X", "R.4X", "R.8X"] = "G.1X"
    count: int = Field(default=2, ge=2, le=299)
    flex: bool = False
    auto_scaling: bool = True

    @model_validator(mode="after")
    def _flex_runs_on_small_workers(self) -> "Workers":
        if self.flex and self.type not in ("G.1X", "G.2X"):
            raise ValueError(f"flex runs on G.1X and G.2X only, not on {self.type}")
        return self


class Pipeline(Strict):
    """One pipelines/NAME/pipeline.yaml."""

    name: Name
    description: str = Field(min_length=1, max_length=1000)
    owner: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    schedule: Annotated[str, Field(pattern=r"^(none|cron\([^()]{9,100}\)|rate\(\d+ (minutes?|hours?|days?)\))$")] = (
        "none"
    )
    tables: list[Table] = Field(min_length=1, max_length=1000)
    marts: list[Mart] = Field(default_factory=list)
    warehouse: Warehouse | None = None
    workers: Workers = Workers()
    timeout_minutes: int = Field(default=480, ge=1, le=10080)
    max_retries: int = Field(default=1, ge=0, le=10)

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, value: str) -> str:
        if value in SHARED_STACKS:
            raise ValueError(f"a pipeline cannot be named {value!r}: that is a stack which all pipelines share")
        return value

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "Pipeline":
        wrong = []
        names = [table.name for table in self.tables] + [mart.name for mart in self.marts]
        wrong += [
            f"two tables or marts are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1})
        ]
        for name in self.warehouse.tables if self.warehouse else []:
            if name not in names:
                wrong.append(f"warehouse.tables names {name!r}, which is none of: {', '.join(names)}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    @property
    def connections(self) -> list[str]:
        """Names of the connections that its tables read, in the order of the file."""
        return list(dict.fromkeys(table.source.connection for table in self.tables))
