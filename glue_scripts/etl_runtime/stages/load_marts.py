"""Load, the marts: computed from the branches that are about to be published, then published last."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  # the usual name

from etl_model.pipeline import Mart
from etl_runtime.change_log import PublishedChange, write_change
from etl_runtime.changes import VERSION
from etl_runtime.context import RunContext
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import Lake, branch_name, branch_of, full_name, quoted
from etl_runtime.stages.each_table import PARALLEL_TABLES
from etl_runtime.stages.load_tables import PreparedTable
from etl_runtime.state import MartState, loaded_state, mart_state


@dataclass(frozen=True)
class PreparedMart:
    mart: Mart
    name: str
    state: MartState
    rows: int


def prepare_marts(context: RunContext, lake: Lake, prepared: list[PreparedTable]) -> list[PreparedMart]:
    """The marts whose SQL or inputs have changed, each on a branch. Views give their SQL the branches by plain name."""
    seqs = {table.table.name: table.state.loaded_seq for table in prepared}
    available: dict[str, int] = {}
    for table in context.pipeline.tables:
        name = context.table_name("curated", table.name)
        if table.name in seqs:
            available[table.name] = seqs[table.name]
            frame = context.spark.table(branch_name(name, branch_of(context.run_id)))
        else:
            loaded = loaded_state(lake.properties(name)).loaded_seq
            if not loaded:
                continue
            available[table.name] = loaded
            frame = context.spark.table(full_name(name))
        frame.drop(*VERSION).createOrReplaceTempView(quoted(table.name))
    try:
        with ThreadPoolExecutor(PARALLEL_TABLES) as pool:
            found = list(pool.map(lambda mart: _prepare(context, lake, mart, available), context.pipeline.marts))
    finally:
        for name in available:
            context.spark.catalog.dropTempView(name)
    return [mart for mart in found if mart is not None]


def publish_mart(context: RunContext, lake: Lake, prepared: PreparedMart) -> None:
    branch = branch_of(context.run_id)
    lake.publish_branch(prepared.name, branch, state=prepared.state.to_properties(), tag=branch)
    context.log.line(
        "published", f"{prepared.mart.name}: published with {prepared.rows} rows", table=prepared.mart.name
    )


def _prepare(context: RunContext, lake: Lake, mart: Mart, available: dict[str, int]) -> PreparedMart | None:
    sql = (context.folder / mart.sql).read_text(encoding="utf-8").strip().rstrip(";")
    name = context.table_name("analytics", mart.name)
    mentioned = [t.name for t in context.pipeline.tables if re.search(rf"\b{re.escape(t.name)}\b", sql, re.I)]
    missing = [table for table in mentioned if table not in available]
    if missing:
        context.log.line("waiting", f"{mart.name}: waits for the first load of {', '.join(missing)}", table=mart.name)
        return None
    inputs = {table: available[table] for table in mentioned}
    state = mart_state(lake.properties(name))
    digest = hashlib.sha256(sql.encode()).hexdigest()
    if state.sql == digest and state.inputs == inputs:
        return None
    frame = _computed(context, mart, sql)
    _prepare_table(context, lake, mart, name, frame)
    branch = branch_of(context.run_id)
    lake.start_branch(name, branch)
    target = branch_name(name, branch)
    try:
        frame.writeTo(target).overwrite(F.lit(True))
    except Py4JJavaError as error:
        raise _failed(mart, error) from error
    written = context.spark.table(target)
    rows = _rows_with_unique_key(mart, written)
    files, _ = lake.files(name, branch)
    context.report.tables.setdefault(mart.name, {}).update(curated_rows=rows, inserted_rows=rows)
    change = PublishedChange(
        table=mart.name,
        kind="full",
        files=tuple(file.path for file in files),
        rows=rows,
        seq=state.seq + 1,
        after_seq=state.seq,
        run=context.run_id,
    )
    write_change(context.s3, context.names, context.pipeline.name, change)
    new = MartState(seq=state.seq + 1, run=context.run_id, sql=digest, inputs=inputs)
    return PreparedMart(mart=mart, name=name, state=new, rows=rows)


def _rows_with_unique_key(mart: Mart, written: DataFrame) -> int:
    if not mart.primary_key:
        return written.count()
    key = F.struct(*(F.col(quoted(name)) for name in mart.primary_key))
    [found] = written.agg(F.count(F.lit(1)).alias("rows"), F.count_distinct(key).alias("keys")).collect()
    if found["keys"] != found["rows"]:
        raise EtlError(
            where=f"mart {mart.name}",
            what=f"primary_key {', '.join(mart.primary_key)} is not unique: {found['rows']} rows, {found['keys']} keys",
            way_out="Correct the SQL or the key; nothing was published",
        )
    return int(found["rows"])


def _computed(context: RunContext, mart: Mart, sql: str) -> DataFrame:
    try:
        frame = context.spark.sql(sql)
    except PySparkException as error:
        raise _failed(mart, error) from error
    lacking = [key for key in mart.primary_key if key not in frame.columns]
    if lacking:
        raise EtlError(
            where=f"mart {mart.name}",
            what=f"its SQL has no column {', '.join(lacking)}, which primary_key names",
            way_out=f"Its columns are: {', '.join(frame.columns)}",
        )
    return frame


def _prepare_table(context: RunContext, lake: Lake, mart: Mart, name: str, frame: DataFrame) -> None:
    kinds = ((field.name, field.dataType.simpleString()) for field in frame.schema)
    # Iceberg has no smaller integer.
    wanted = {name: "int" if kind in ("smallint", "tinyint") else kind for name, kind in kinds}
    if lake.load(name) is None:
        location = f"{context.names.location(context.pipeline.name, 'analytics')}/{mart.name}"
        lake.create(name, frame.schema, location=location)
        return
    present = dict(lake.columns(name))
    differing = [f"{column} ({kind} in the table)" for column, kind in present.items() if wanted.get(column) != kind]
    if differing:
        raise EtlError(
            where=f"mart {mart.name}",
            what=f"its SQL drops or retypes {', '.join(differing)}, which readers use",
            way_out="Keep the columns (cast them), or give the mart another name",
        )
    lake.add_columns(name, [(column, kind) for column, kind in wanted.items() if column not in present])


def _failed(mart: Mart, error: Exception) -> EtlError:
    text = str(getattr(error, "java_exception", None) or error).strip().splitlines()[0]
    return EtlError(
        where=f"mart {mart.name} ({mart.sql})", what=text[:500], way_out="Correct the SQL; nothing was published"
    )
