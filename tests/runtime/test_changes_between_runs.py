"""What may change between two runs at the source or in the pipeline file, and must not lose or double a row."""

import pytest

from etl_runtime.errors import EtlError
from tests.runtime.workbench import Workbench

MERGED = "  - {name: NAME, source: {connection: erp, table: NAME}, primary_key: [id], load: merge"
LOG = "  - {name: NAME, source: {connection: erp, table: NAME}, primary_key: [id], load: append, cursor: {column: id}}"


def test_an_append_table_that_is_read_in_full_again_is_not_doubled(workbench: Workbench) -> None:
    workbench.sql("create table event (id bigint primary key, t text)", "insert into event values (1, 'a'), (2, 'b')")
    workbench.deploy(LOG.replace("NAME", "event"))
    workbench.run("r1")
    workbench.sql("alter table event add column x int default 7", "insert into event(id, t) values (3, 'c')")
    workbench.run("r2")
    workbench.run("r3", mode="full_refresh")
    assert [row[0] for row in workbench.rows("curated", "event", "id")] == [1, 2, 3]


def test_a_number_taken_by_an_open_transaction_arrives_when_it_commits(workbench: Workbench) -> None:
    workbench.sql("create table ticket (id bigint primary key)", "insert into ticket values (1)")
    workbench.deploy(LOG.replace("NAME", "ticket"))
    workbench.run("r1")
    open_transaction = workbench.login.connect()
    try:
        with open_transaction.cursor() as cursor:
            cursor.execute("insert into ticket values (2)")
            workbench.sql("insert into ticket values (3)")
            workbench.run("r2")
            open_transaction.commit()
    finally:
        open_transaction.close()
    workbench.run("r3")
    assert workbench.rows("curated", "ticket") == [(1,), (2,), (3,)]


def test_a_new_column_is_read_in_full_even_after_a_run_that_failed(workbench: Workbench) -> None:
    workbench.sql(
        "create table later (id int primary key, at timestamptz default '2020-01-01')",
        "insert into later select i, timestamptz '2020-01-01' + i * interval '1 day' from generate_series(1, 4) i",
        "create table halting (id int primary key)",
        "insert into halting select generate_series(1, 4)",
    )
    both = MERGED.replace("NAME", "later") + ", cursor: {column: at}}\n" + MERGED.replace("NAME", "halting")
    workbench.deploy(both + ", deletes: compare_keys}")
    workbench.run("r1")
    workbench.sql("alter table later add column extra text default 'old'", "delete from halting")
    with pytest.raises(EtlError, match="no rows at all"):
        workbench.run("r2")
    workbench.sql("insert into halting select generate_series(1, 4)")
    workbench.run("r3")
    assert {row[0] for row in workbench.rows("curated", "later", "extra")} == {"old"}


def test_a_transform_that_filters_does_not_swallow_deletes(workbench: Workbench) -> None:
    workbench.sql(
        "create table client (id int primary key, name text)",
        "insert into client select i, 'n' from generate_series(1, 20) i",
    )
    workbench.deploy(
        MERGED.replace("NAME", "client") + ", deletes: compare_keys, transform: transforms.py:tidy}",
        files={"transforms.py": "def tidy(df):\n    return df.where(\"name <> 'test'\")\n"},
    )
    workbench.run("r1")
    workbench.sql("delete from client where id = 7")
    counts = workbench.run("r2")["client"]
    assert (counts["deleted_rows"], counts["filtered_rows"], counts["curated_rows"]) == (1, 0, 19)


def test_a_row_that_comes_back_unchanged_after_its_delete_is_loaded_again(workbench: Workbench) -> None:
    workbench.sql(
        "create table back (id int primary key, at timestamptz)",
        "insert into back select i, timestamptz '2020-01-01' + i * interval '1 day' from generate_series(1, 20) i",
    )
    workbench.deploy(MERGED.replace("NAME", "back") + ", cursor: {column: at}, deletes: compare_keys}")
    workbench.run("r1")
    workbench.sql("delete from back where id = 5")
    workbench.run("r2")
    workbench.sql("insert into back values (5, timestamptz '2020-01-01' + 5 * interval '1 day')")
    workbench.run("r3")
    assert (5,) in workbench.rows("curated", "back", "id")


def test_keys_that_a_cast_makes_equal_wait_in_quarantine_and_deletes_find_their_key(workbench: Workbench) -> None:
    workbench.sql(
        "create table code (id text primary key, v int)",
        "insert into code values ('1', 1), ('01', 2), ('007', 3), ('8', 4)",
    )
    workbench.deploy(
        MERGED.replace("NAME", "code") + ", casts: {id: int}, deletes: compare_keys, max_deleted_percent: 50}"
    )
    workbench.run("r1")
    assert workbench.rows("curated", "code") == [(7, 3), (8, 4)]
    workbench.sql("delete from code where id = '8'")
    workbench.run("r2")
    assert workbench.rows("curated", "code") == [(7, 3)]


def test_a_corrected_query_is_read_again_although_its_bytes_are_the_same(workbench: Workbench) -> None:
    workbench.sql("create table money (id int primary key, a int, b int)", "insert into money values (1, 10, 12)")
    entry = "  - {name: money, source: {connection: erp, query: 'select id, a as X, b as Y from money'}, primary_key: [id], load: merge}"
    workbench.deploy(entry.replace("X", "net").replace("Y", "gross"))
    workbench.run("r1")
    workbench.deploy(entry.replace("X", "gross").replace("Y", "net"))
    workbench.run("r2")
    assert workbench.rows("curated", "money", "id", "net", "gross") == [(1, 12, 10)]


def test_odd_names_and_percent_signs_survive_incremental_runs(workbench: Workbench) -> None:
    workbench.sql(
        'create table "Odd %s" ("x.y" int primary key, "a%b" text, "q`t" text, "SELECT" int, "at %" timestamptz)',
        """insert into "Odd %s" values (1, '100%', 'a', 1, '2020-01-01'), (2, '%s', 'b', 2, '2020-01-02')""",
    )
    workbench.deploy(
        """
  - name: odd_names
    source: {connection: erp, query: "select * from \\"Odd %s\\" where \\"a%b\\" like '%'"}
    primary_key: ["x.y"]
    load: merge
    cursor: {column: "at %", lag: 36h}
    deletes: compare_keys
    max_deleted_percent: 60
"""
    )
    workbench.run("r1")
    workbench.sql(
        """insert into "Odd %s" values (3, 'c', 'c', 3, '2020-01-03')""", """delete from "Odd %s" where "x.y" = 1"""
    )
    workbench.run("r2")
    assert workbench.rows("curated", "odd_names", "`x.y`", "`a%b`", "`q``t`") == [(2, "%s", "b"), (3, "c", "c")]
