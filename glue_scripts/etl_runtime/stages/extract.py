"""Extract: every table of a connection in one source snapshot, as listed files appended with their state."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from etl_model.environment import PostgreSQLConnection
from etl_model.pipeline import Table
from etl_runtime.connections import resolve_connection
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError
from etl_runtime.extracted_keys import compare_with_lake, delete_objects, fetch_condition
from etl_runtime.iceberg import DataFile, Lake, branch_of, quoted
from etl_runtime.known_rows import known_hashes
from etl_runtime.manifest import Manifest, TableIntent, load_manifest
from etl_runtime.parquet_files import Target
from etl_runtime.postgresql.copy_slice import Slice, SliceResult
from etl_runtime.postgresql.discover import SourceTable
from etl_runtime.postgresql.plan import cursor_condition, slice_queries
from etl_runtime.postgresql.slices import read_slices
from etl_runtime.postgresql.snapshot import Snapshot, open_snapshot
from etl_runtime.raw_table import prepare_raw_table
from etl_runtime.stages.each_table import each_table
from etl_runtime.state import RAW_STATE, RawState, raw_state
from etl_runtime.watermark import next_watermark

# Slices of rows, key sets and fetched rows number their rows apart.
_KEY_NUMBERS, _TOMBSTONE_NUMBERS, _FETCH_NUMBERS = 10_000, 20_000, 30_000


def extract(context: RunContext) -> None:
    """Reads what the run's manifest does not hold yet, then commits the manifest table by table."""
    manifest = load_manifest(context.s3, context.names, context.pipeline.name, context.run_id)
    if manifest is None:
        manifest = read_sources(context)
        manifest.write(context.s3, context.names, context.pipeline.name)
    else:
        context.log.line("manifest", "this run has read its sources already; going on from its manifest")
    lake = Lake(context.spark)
    intents = {intent.table: intent for intent in manifest.tables}
    each_table(context, lambda table: _commit(context, lake, table, intents.get(table.name)))


def read_sources(context: RunContext) -> Manifest:
    """Every table of the run as files in the raw bucket; nothing is committed."""
    intents: list[TableIntent] = []
    snapshots: dict[str, str] = {}
    tables = context.tables()
    for name in dict.fromkeys(table.source.connection for table in tables):
        connection = resolve_connection(name, context.names)
        if not isinstance(connection, PostgreSQLConnection):
            raise EtlError(
                where=f"connection {name}",
                what=f"tables cannot be read from {connection.kind}",
                way_out="Supported: postgresql",
            )
        wanted = [table for table in tables if table.source.connection == name]
        context.log.line("snapshot", f"opening one snapshot of {name} for {len(wanted)} table(s)")
        with open_snapshot(name, connection, wanted, region=context.names.region) as snapshot:
            snapshots[name] = snapshot.id
            lake = Lake(context.spark)
            # Largest first, so that the last to finish is a small one.
            by_size = sorted(wanted, key=lambda t: -sum(r.pages or 0 for r in snapshot.sources[t.name].relations))
            read = partial(_read_table, context, lake, snapshot)
            intents += each_table(context, read, by_size)
    return Manifest(
        run_id=context.run_id,
        mode=context.run.mode,
        started_at=context.started_at.isoformat(),
        pipeline_bundle=context.arguments.pipeline_bundle,
        artifact_version=context.arguments.artifact_version,
        snapshots=snapshots,
        tables=tuple(intents),
    )


def _reading(source: SourceTable) -> str:
    """A hash of what is read and how: relation or query, columns and types, cursor column and key."""
    table = source.table
    described = [
        table.source.table,
        table.source.query,
        [(column.name, column.spark) for column in source.columns],
        table.cursor.column if table.cursor else None,
        table.primary_key,
    ]
    return hashlib.blake2b(json.dumps(described).encode(), digest_size=16).hexdigest()


def _read_table(context: RunContext, lake: Lake, snapshot: Snapshot, table: Table) -> TableIntent:
    return TableReader(context, lake, snapshot, table).read()


@dataclass(frozen=True)
class Rows:
    """What reading a table's rows brought."""

    results: list[SliceResult]
    incremental: bool

    @property
    def files(self) -> list[DataFile]:
        return [DataFile(path=path, rows=rows) for result in self.results for path, rows in result.files]

    @property
    def digest(self) -> str:
        """Of every byte that the source sent, slice by slice."""
        whole = hashlib.blake2b(digest_size=16)
        for result in self.results:
            whole.update(f"{result.number}:{result.source_rows}:{result.digest};".encode())
        return whole.hexdigest()


class TableReader:
    """Reads one table under the snapshot and says what to commit."""

    def __init__(self, context: RunContext, lake: Lake, snapshot: Snapshot, table: Table) -> None:
        names, pipeline = context.names, context.pipeline.name
        self.context, self.lake, self.snapshot, self.table = context, lake, snapshot, table
        self.source: SourceTable = snapshot.sources[table.name]
        self.raw = context.table_name("raw", table.name)
        location = f"{names.location(pipeline, 'raw')}/{table.name}"
        prepare_raw_table(lake, self.raw, table, self.source.columns, location=location)
        self.state: RawState = raw_state(lake.properties(self.raw))
        self.reading = _reading(self.source)
        # What was read otherwise (fewer columns, another query, cursor or key) says nothing about what is there now.
        self.reads_all = context.run.mode == "full_refresh" or self.reading != self.state.reading
        self.target = Target(
            prefix=f"{location}/data",
            region=names.region,
            columns=tuple((column.name, column.arrow) for column in self.source.columns),
            field_ids=lake.field_ids(self.raw),
            seq=self.state.seq + 1,
        )

    def read(self) -> TableIntent:
        state, table = self.state, self.table
        incremental = table.cursor is not None and state.watermark is not None and not self.reads_all
        rows = self._read_rows(incremental=incremental)
        fingerprint = None if incremental else f"{','.join(c.spark for c in self.source.columns)}:{rows.digest}"
        if fingerprint is not None and fingerprint == state.fingerprint and not self.reads_all:
            delete_objects(rows.files, region=self.target.region)
            sent = sum(result.source_rows for result in rows.results)
            rows = Rows(
                results=[replace(r, files=(), unchanged_rows=r.source_rows) for r in rows.results], incremental=False
            )
            self.context.log.line("unchanged", f"{table.name}: {sent} rows, the same as last time", table=table.name)
        files, deleted_rows, keys_fingerprint = rows.files, 0, None
        if table.deletes == "compare_keys":
            rows, files, deleted_rows, keys_fingerprint = self._compare_keys(rows)
        source_rows = sum(result.source_rows for result in rows.results)
        unchanged = sum(result.unchanged_rows for result in rows.results)
        raw_rows = sum(file.rows for file in files)
        if source_rows != unchanged + raw_rows - deleted_rows:
            raise EtlError(
                where=f"table {table.name}",
                what=f"the source sent {source_rows} rows, but {unchanged} unchanged and {raw_rows - deleted_rows} new are at hand",
                way_out="Nothing was committed; run the pipeline again",
            )
        changed_to_nothing = table.load == "replace" and fingerprint != state.fingerprint
        if not files and state.seq and not changed_to_nothing:
            # Nothing to do: the state keeps its seq, so nothing will be committed.
            new = replace(state, source_rows=source_rows, unchanged_rows=unchanged, raw_rows=0, deleted_rows=0)
            return TableIntent(table=table.name, expected_seq=state.seq, state=new, files=())
        cursor = table.cursor
        new = RawState(
            seq=state.seq + 1,
            run=self.context.run_id,
            kind="incremental" if rows.incremental else "full",
            watermark=next_watermark(
                kind=self.source.column(cursor.column).spark,
                previous=state.watermark,
                largest=[result.largest_cursor for result in rows.results],
                safe_until=self.snapshot.safe_until,
                hold_numbers=self.snapshot.writers_open and not cursor.lag,
            )
            if cursor
            else None,
            fingerprint=fingerprint,
            keys_fingerprint=keys_fingerprint,
            reading=self.reading,
            key_is_unique=self.source.key_is_unique,
            source_rows=source_rows,
            unchanged_rows=unchanged,
            raw_rows=raw_rows,
            deleted_rows=deleted_rows,
        )
        self.context.log.line(
            "read",
            f"{table.name}: {source_rows} rows read, {raw_rows} to load, {deleted_rows} deleted",
            table=table.name,
        )
        return TableIntent(table=table.name, expected_seq=state.seq, state=new, files=tuple(files))

    def _slices(
        self, columns: tuple[str, ...], condition: tuple[str, tuple[object, ...]] | None, target: Target, first: int
    ) -> list[Slice]:
        cursor = self.table.cursor
        return [
            Slice(
                table=self.table.name,
                number=first + i,
                query=query.sql,
                parameters=query.parameters,
                columns=tuple(self.source.column(name) for name in columns),
                cursor_column=cursor.column if cursor and cursor.column in columns else None,
                connection_name=self.snapshot.name,
                connection=self.snapshot.connection,
                region=self.target.region,
                snapshot=self.snapshot.id,
                target=target,
            )
            for i, query in enumerate(slice_queries(self.source, columns, condition))
        ]

    def _read_rows(self, *, incremental: bool) -> Rows:
        names = tuple(column.name for column in self.source.columns)
        cursor, watermark = self.table.cursor, self.state.watermark
        condition = known = None
        if incremental and cursor is not None and watermark is not None:
            condition = cursor_condition(self.source, cursor, watermark)
            known = known_hashes(self.lake, self.raw, self.table, self.target.columns, self._window(watermark))
        slices = self._slices(names, condition, self.target, 0)
        return Rows(results=read_slices(self.context.spark.sparkContext, slices, known), incremental=incremental)

    def _window(self, watermark: str) -> str:
        """The rows of the raw table that a read from the watermark less the lag meets again, as a Spark condition."""
        cursor = self.table.cursor
        assert cursor is not None
        kind, column = self.source.column(cursor.column).spark, quoted(cursor.column)
        if kind in ("int", "bigint"):
            bound = str(int(watermark) - (cursor.lag if isinstance(cursor.lag, int) else 0))
        else:
            seconds = int(cursor.lag.total_seconds()) if isinstance(cursor.lag, timedelta) else cursor.lag
            # A day more than needed for dates: a wider window only finds more rows to compare with.
            days = "1" if kind == "date" else "0"
            bound = f"cast('{watermark}' as {kind}) - interval '{days}' day - interval '{seconds}' second"
        return f"{column} >= {bound} or {column} is null"

    def _compare_keys(self, rows: Rows) -> tuple[Rows, list[DataFile], int, str | None]:
        table, state = self.table, self.state
        cursor = (table.cursor.column,) if table.cursor and table.cursor.column not in table.primary_key else ()
        names = (*table.primary_key, *cursor)
        key_target = replace(
            self.target,
            prefix=f"{self.target.prefix}-keys",
            columns=tuple((name, self.source.column(name).arrow) for name in names),
            op=None,
        )
        context, files = self.context, rows.files
        keys = Rows(
            results=read_slices(context.spark.sparkContext, self._slices(names, None, key_target, _KEY_NUMBERS), None),
            incremental=False,
        )
        try:
            if state.seq == 0 or (keys.digest == state.keys_fingerprint and not self.reads_all):
                return rows, files, 0, keys.digest
            findings = compare_with_lake(
                self.lake,
                self.source,
                raw=self.raw,
                key_files=keys.files,
                read=files,
                target=self.target,
                first_number=_TOMBSTONE_NUMBERS,
                region=self.target.region,
            )
        finally:
            delete_objects(keys.files, region=self.target.region)
        missed = findings.missed
        if missed:
            fetched = self._slices(
                tuple(column.name for column in self.source.columns),
                fetch_condition(self.source, missed),
                self.target,
                _FETCH_NUMBERS,
            )
            results = read_slices(context.spark.sparkContext, fetched, None)
            if sum(result.source_rows for result in results) < len(missed):
                # The source writes a key otherwise than we do: reading everything finds it in any case.
                delete_objects(Rows(results=results, incremental=True).files, region=self.target.region)
                missed = None
            else:
                rows = Rows(results=[*rows.results, *results], incremental=rows.incremental)
                context.log.line("fetched", f"{table.name}: {len(missed)} rows missed before", table=table.name)
        if missed is None:
            context.log.line(
                "read_again",
                f"{table.name}: its missed rows cannot be fetched by key; reading the whole table",
                table=table.name,
            )
            delete_objects(files, region=self.target.region)
            rows = self._read_rows(incremental=False)
        return rows, [*rows.files, *findings.tombstones], findings.deleted_rows, keys.digest


def _commit(context: RunContext, lake: Lake, table: Table, intent: TableIntent | None) -> None:
    """The intent of one table, unless it is committed already."""
    if intent is None:
        return
    name = context.table_name("raw", table.name)
    state = raw_state(lake.properties(name))
    planned = intent.state
    counts = {
        "seq": planned.seq,
        "source_rows": planned.source_rows,
        "unchanged_rows": planned.unchanged_rows,
        "raw_rows": planned.raw_rows,
        "deleted_rows": planned.deleted_rows,
    }
    context.report.tables.setdefault(table.name, {}).update(counts)
    if planned.seq == intent.expected_seq or (state.run == context.run_id and state.seq == planned.seq):
        return
    if state.seq != intent.expected_seq:
        raise EtlError(
            where=f"table {table.name}",
            what=f"this run was to follow extract {intent.expected_seq}, and the raw table is at {state.seq} (run {state.run})",
            way_out="Another run has extracted since; start a new run instead of resuming this one",
        )
    lake.append_and_publish(
        name,
        branch_of(context.run_id),
        intent.files,
        after=state.to_properties() if state.seq else {RAW_STATE: None},
        state=planned.to_properties(),
        summary={"etl.run": context.run_id, "etl.seq": str(planned.seq)},
    )
    context.log.line("committed", f"{table.name}: extract {planned.seq} committed", table=table.name)
