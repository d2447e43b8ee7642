"""The promises of the commit protocol, each tried by breaking what it guards: data is sabotaged, never our own code."""

import json

import pytest

from etl_model.environment import PostgreSQLConnection
from etl_model.names import STAGES
from etl_runtime.connections import resolve_connection
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import branch_name, full_name
from etl_runtime.postgresql.snapshot import open_snapshot
from etl_runtime.stages.extract import TableReader, read_sources
from tests.runtime.workbench import Workbench

TABLE = """
  - name: {name}
    source: {{connection: erp, table: {name}}}
    primary_key: [id]
    load: merge
    deletes: compare_keys
    max_deleted_percent: 40
    checks: Rules = [ ColumnValues "n" >= 0, RowCount > 0 ]
"""


def prepare(workbench: Workbench, *names: str) -> None:
    for name in names:
        workbench.sql(f"create table {name} (id int primary key, n int)")
        workbench.sql(f"insert into {name} select i, i from generate_series(1, 10) i")
    workbench.deploy("".join(TABLE.format(name=name) for name in names))


def test_a_row_lost_in_staging_blocks_publication(workbench: Workbench) -> None:
    prepare(workbench, "lost_a")
    workbench.stage("extract", "r1")
    workbench.stage("transform", "r1")
    staging = full_name(workbench.context("validate", "r1").table_name("staging", "lost_a"))
    workbench.spark.sql(f"DELETE FROM {staging} WHERE id = 4")
    with pytest.raises(EtlError, match="10 rows were staged, but 9 are valid and 0 in quarantine"):
        workbench.stage("validate", "r1")


def test_a_row_lost_after_validation_blocks_publication(workbench: Workbench) -> None:
    prepare(workbench, "lost_b")
    for stage in ("extract", "transform", "validate"):
        workbench.stage(stage, "r1")  # type: ignore[arg-type]  # a Stage
    valid = full_name(workbench.context("load", "r1").table_name("staging", "lost_b__valid"))
    workbench.spark.sql(f"INSERT INTO {valid} SELECT * FROM {valid} WHERE id = 4")
    with pytest.raises(EtlError, match="10 raw rows were pending; 11 are loaded"):
        workbench.stage("load", "r1")
    assert workbench.rows("curated", "lost_b") == []


def test_one_table_that_fails_its_audit_keeps_every_table_unpublished(workbench: Workbench) -> None:
    prepare(workbench, "whole_a", "whole_b")
    workbench.run("r1")
    workbench.sql("update whole_a set n = n + 1", "update whole_b set n = n + 1")
    workbench.deploy(
        TABLE.format(name="whole_a") + TABLE.format(name="whole_b").replace("RowCount > 0", "RowCount > 10")
    )
    with pytest.raises(EtlError, match=r"the table as a whole fails: RowCount > 10"):
        workbench.run("r2")
    assert (
        workbench.rows("curated", "whole_a") == workbench.rows("curated", "whole_b") == [(i, i) for i in range(1, 11)]
    )
    assert workbench.reports["validate"]["tables"]["whole_a"]["valid_rows"] == 10


def test_repeating_every_stage_under_its_run_id_changes_nothing(workbench: Workbench) -> None:
    prepare(workbench, "again")
    for stage in STAGES:
        workbench.stage(stage, "r1")
        before, counts = workbench.snapshots(), workbench.reports[stage]["tables"]["again"]
        # What a retry meets after a commit whose answer was lost.
        workbench.stage(stage, "r1")
        assert workbench.snapshots() == before, stage
        repeated = workbench.reports[stage]["tables"]["again"]
        assert {k: v for k, v in repeated.items() if k != "seconds"} == {
            k: v for k, v in counts.items() if k != "seconds"
        }


def test_a_run_that_was_overtaken_stops_and_says_so(workbench: Workbench) -> None:
    prepare(workbench, "race")
    context = workbench.context("extract", "slow")
    manifest = read_sources(context)
    manifest.write(context.s3, context.names, context.pipeline.name)
    workbench.run("fast")
    with pytest.raises(EtlError, match=r"was to follow extract 0, and the raw table is at 1 \(run fast\)"):
        workbench.stage("extract", "slow")


def test_a_branch_that_main_has_left_behind_is_not_published(workbench: Workbench) -> None:
    prepare(workbench, "fence")
    workbench.run("r1")
    lake, name = workbench.lake, workbench.context("load", "r1").table_name("curated", "fence")
    lake.start_branch(name, "stale")
    workbench.spark.sql(f"DELETE FROM {branch_name(name, 'stale')} WHERE id = 1")
    workbench.sql("update fence set n = 100 where id = 2")
    workbench.run("r2")
    with pytest.raises(EtlError, match="its commit was refused, since the table has moved on"):
        lake.publish_branch(name, "stale", state={"etl.loaded": "{}"}, tag=None)
    assert (2, 100) in workbench.rows("curated", "fence")
    assert json.loads((lake.properties(name) or {})["etl.loaded"])["loaded_seq"] == 2


def test_a_killed_load_is_finished_by_the_next_run_without_loss(workbench: Workbench) -> None:
    prepare(workbench, "killed")
    workbench.run("r1")
    workbench.sql("update killed set n = 50 where id = 5")
    for stage in ("extract", "transform"):
        workbench.stage(stage, "r2")  # type: ignore[arg-type]  # a Stage
    workbench.sql("update killed set n = 60 where id = 6", "delete from killed where id = 7")
    counts = workbench.run("r3")["killed"]
    assert workbench.rows("curated", "killed") == [(i, {5: 50, 6: 60}.get(i, i)) for i in range(1, 11) if i != 7]
    assert counts["superseded_rows"] > 0


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("delete from gone", "the source has no rows at all, and the lake has 10"),
        (
            "delete from gone where id > 5",
            r"5 of 10 rows \(50.0 %\) are gone from the source, more than max_deleted_percent",
        ),
    ],
    ids=["all", "many"],
)
def test_deletes_beyond_belief_halt_the_run(workbench: Workbench, statement: str, message: str) -> None:
    workbench.sql("drop table if exists gone")
    prepare(workbench, "gone")
    workbench.run("r1")
    workbench.sql(statement)
    before = workbench.snapshots()
    with pytest.raises(EtlError, match=message):
        workbench.run("r2")
    assert workbench.snapshots() == before


def test_all_tables_and_slices_see_one_snapshot(workbench: Workbench) -> None:
    prepare(workbench, "one_a", "one_b")
    context = workbench.context("extract", "r1")
    connection = resolve_connection("erp", context.names)
    assert isinstance(connection, PostgreSQLConnection)
    with open_snapshot("erp", connection, context.tables(), region=context.names.region) as snapshot:
        workbench.sql("update one_a set n = 99", "insert into one_b values (11, 11)")
        intents = [TableReader(context, workbench.lake, snapshot, table).read() for table in context.tables()]
    assert [intent.state.source_rows for intent in intents] == [10, 10]


def test_secrets_appear_in_no_report_log_or_table_property(
    workbench: Workbench, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(workbench, "quiet")
    workbench.run("r1")
    password = workbench.login.password
    properties = {
        name: workbench.lake.properties(workbench.context("load", "r1").table_name(layer, name))
        for layer, name in (("raw", "quiet"), ("curated", "quiet"), ("staging", "quiet"))
    }
    output = capfd.readouterr()
    assert password not in json.dumps(workbench.reports) + json.dumps(properties) + output.out + output.err
