"""Runs of whole pipelines over a real database: what arrives, what is counted, what is left alone."""

import datetime
from decimal import Decimal

import pytest

from etl_runtime.errors import EtlError, EtlErrors
from tests.runtime.workbench import Workbench

UTC = datetime.UTC


def test_every_type_arrives_exactly(workbench: Workbench) -> None:
    workbench.sql(
        "create table odd (id int, part text, n numeric, p numeric(38,9), j jsonb, u uuid, b bytea, a text[], t timestamptz,"
        " w timestamp, d date, f float8, r real, x boolean, s text, c char(4), v interval, m time, primary key (id, part))",
        r"""insert into odd values
        (1, 'a', 1234567890123456789012345678901234567890.123456789, 12345678901234567890123456789.123456789, '{"k": [1, null]}',
         'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff0a', '{"a,b",NULL,"c\"d"}', '2020-02-29 23:59:59.999999+02', '0001-01-01',
         '9999-12-31', 'NaN', 0.1, true, E'line\nbreak, "quote" \'single\' \u2603 \U0001F600 \\ |', 'ab', '1 mon -2 days', '23:59:59.5'),
        (1, 'b', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
        (2, '', 0, -0.000000001, 'null', null, '\x', '{}', '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999',
         '0001-01-01', '-Infinity', 3.4e38, false, '', '', '0', '00:00')""",
    )
    workbench.deploy(
        """
  - name: odd
    source: {connection: erp, table: odd}
    primary_key: [id, part]
    load: merge
"""
    )
    workbench.run("r1")
    first, second, third = workbench.rows(
        "curated",
        "odd",
        *["id", "part", "n", "p", "j", "u", "b", "a"],
        "cast(t as string)",
        "cast(w as string)",
        *["d", "f", "r", "x", "s", "c", "v", "m"],
        order="1,2",
    )
    assert first == (
        1,
        "a",
        "1234567890123456789012345678901234567890.123456789",
        Decimal("12345678901234567890123456789.123456789"),
        '{"k": [1, null]}',
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        b"\x00\xff\x0a",
        '{"a,b",NULL,"c\\"d"}',
        "2020-02-29 21:59:59.999999",
        "0001-01-01 00:00:00",
        datetime.date(9999, 12, 31),
        pytest.approx(float("nan"), nan_ok=True),
        pytest.approx(0.1),
        True,
        "line\nbreak, \"quote\" 'single' \u2603 \U0001f600 \\ |",
        "ab  ",
        "P1M-2D",
        "23:59:59.5",
    )
    assert second == (1, "b", *[None] * 16)
    assert third == (
        2,
        "",
        "0",
        Decimal("-0.000000001"),
        "null",
        None,
        b"",
        "{}",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
        datetime.date(1, 1, 1),
        float("-inf"),
        pytest.approx(3.4e38),
        False,
        "",
        "    ",
        "PT0S",
        "00:00:00",
    )


def test_a_change_batch_is_merged_counted_and_nothing_else_is_touched(workbench: Workbench) -> None:
    workbench.sql(
        "create table item (id int primary key, name text, price numeric(10,2), at timestamptz)",
        "insert into item select i, 'n' || i, i, timestamptz '2020-01-01' + i * interval '1 day' from generate_series(1, 20) i",
    )
    workbench.deploy(
        """
  - name: item
    source: {connection: erp, table: item}
    primary_key: [id]
    load: merge
    cursor: {column: at, lag: 36h}
    deletes: compare_keys
    slices: 3
    checks: Rules = [ ColumnValues "price" >= 0, RowCount > 0, IsUnique "id" ]
"""
    )
    first = workbench.run("r1")["item"]
    assert (first["raw_rows"], first["inserted_rows"], first["curated_rows"]) == (20, 20, 20)
    before = workbench.snapshots()
    idle = workbench.run("r2")["item"]
    assert workbench.snapshots() == before, "a run with nothing to do commits nothing"
    assert (workbench.reports["extract"]["tables"]["item"]["unchanged_rows"], idle["raw_rows"]) == (2, 0)
    workbench.sql(
        "update item set name = 'changed', at = '2021-01-01' where id = 3",
        "insert into item values (21, 'new', 21, '2021-01-02'), (22, 'bad', -1, '2021-01-02'), (23, 'late', 23, '2019-01-01')",
        "delete from item where id = 5",
    )
    third = workbench.run("r3")
    extracted = workbench.reports["extract"]["tables"]["item"]
    assert extracted["source_rows"] == extracted["unchanged_rows"] + extracted["raw_rows"] - extracted["deleted_rows"]
    assert (extracted["raw_rows"], extracted["deleted_rows"]) == (5, 1)
    counts = third["item"]
    assert {key: counts[f"{key}_rows"] for key in ("inserted", "updated", "deleted", "quarantined", "curated")} == {
        "inserted": 2,
        "updated": 1,
        "deleted": 1,
        "quarantined": 1,
        "curated": 21,
    }
    names = {row[0]: row[1] for row in workbench.rows("curated", "item", "id", "name")}
    assert names == {i: f"n{i}" for i in range(1, 21) if i not in (3, 5)} | {3: "changed", 21: "new", 23: "late"}
    assert workbench.rows("quarantine", "item", "id", "_etl_rules[0]", "_etl_run") == [
        (22, 'ColumnValues "price" >= 0', "r3")
    ]
    after = workbench.snapshots()
    workbench.run("r4")
    assert workbench.snapshots() == after, "the quarantined row is not fetched again"


def test_replace_append_partitions_views_and_queries(workbench: Workbench) -> None:
    workbench.sql(
        "create table zone (id int, name text)",
        "insert into zone values (1, 'a'), (2, 'b')",
        "create table log (id bigint primary key, text text)",
        "insert into log values (1, 'x'), (2, 'y')",
        "create table part (id int, region text, primary key (id, region)) partition by list (region)",
        "create table part_n partition of part for values in ('n')",
        "create table part_s (region text not null, id int not null)",
        "alter table part attach partition part_s for values in ('s')",
        "insert into part values (1, 'n'), (2, 's'), (3, 's')",
        "create view seen as select id * 2 as twice from zone",
    )
    workbench.deploy(
        """
  - {name: zone, source: {connection: erp, table: zone}, load: replace}
  - {name: log, source: {connection: erp, table: public.log}, load: append, primary_key: [id], cursor: {column: id}}
  - {name: part, source: {connection: erp, table: part}, load: merge, primary_key: [id, region], slices: 2}
  - {name: seen, source: {connection: erp, table: seen}, load: replace}
  - {name: asked, source: {connection: erp, query: "select id, upper(name) as name from zone where id > 1"}, load: replace}
""",
        files={"zone_names.sql": "SELECT name, count(*) AS n FROM zone JOIN log ON zone.id = log.id GROUP BY name"},
        rest="marts:\n  - {name: zone_names, sql: zone_names.sql, primary_key: [name]}",
    )
    workbench.run("r1")
    assert workbench.rows("curated", "zone") == [(1, "a"), (2, "b")]
    assert workbench.rows("curated", "part", order="1,2") == [(1, "n"), (2, "s"), (3, "s")]
    assert workbench.rows("curated", "seen") == [(2,), (4,)]
    assert workbench.rows("curated", "asked") == [(2, "B")]
    assert workbench.rows("analytics", "zone_names") == [("a", 1), ("b", 1)]
    before = workbench.snapshots()
    workbench.run("r2")
    assert workbench.snapshots() == before
    workbench.sql(
        "delete from zone where id = 1", "insert into zone values (3, null)", "insert into log values (3, 'z')"
    )
    counts = workbench.run("r3")
    assert workbench.rows("curated", "zone") == [(2, "b"), (3, None)]
    assert workbench.rows("curated", "log") == [(1, "x"), (2, "y"), (3, "z")]
    assert counts["log"]["inserted_rows"] == 1
    assert workbench.rows("analytics", "zone_names") == [(None, 1), ("b", 1)]
    assert workbench.snapshots()["curated.part"] == before["curated.part"]


def test_rows_that_share_or_lack_their_key_go_to_quarantine(workbench: Workbench) -> None:
    workbench.sql(
        "create table loose (id int, name text)",
        "insert into loose values (1, 'a'), (2, 'b'), (2, 'c'), (null, 'd')",
    )
    workbench.deploy("  - {name: loose, source: {connection: erp, table: loose}, primary_key: [id], load: merge}")
    counts = workbench.run("r1")["loose"]
    assert (counts["curated_rows"], counts["quarantined_rows"]) == (1, 3)
    assert [row[0] for row in workbench.rows("quarantine", "loose", "name")] == ["b", "c", "d"]


def test_declared_casts_are_exact_or_quarantine_the_row(workbench: Workbench) -> None:
    workbench.sql(
        "create table amount (id int primary key, n numeric, day date, part numeric(6,2) default 3)",
        "insert into amount (id, n, day) values (1, 1.25, '2020-01-01'), (2, 1.255, 'infinity'), (3, 12345678901, '0044-03-15 BC'), (4, 2, '2020-01-01')",
        "update amount set part = 1.75 where id = 4",
    )
    workbench.deploy(
        """
  - name: amount
    source: {connection: erp, table: amount}
    primary_key: [id]
    load: merge
    casts: {n: "decimal(10,2)", day: string, part: int}
"""
    )
    workbench.run("r1")
    assert workbench.rows("curated", "amount") == [(1, Decimal("1.25"), "2020-01-01", 3)]
    assert [row[0] for row in workbench.rows("quarantine", "amount", "id")] == [2, 3, 4]


def test_a_pipelines_own_transform_may_filter_and_is_counted(workbench: Workbench) -> None:
    workbench.sql(
        "create table person (id int primary key, name text)", "insert into person values (1, ' a '), (2, 'test')"
    )
    workbench.deploy(
        """
  - name: person
    source: {connection: erp, table: person}
    primary_key: [id]
    load: merge
    transform: transforms.py:tidy
""",
        files={
            "transforms.py": "from pyspark.sql import functions as F\n"
            "def tidy(df):\n    return df.where(\"name <> 'test'\").withColumn('name', F.trim('name'))\n"
        },
    )
    counts = workbench.run("r1")["person"]
    assert (counts["filtered_rows"], counts["curated_rows"]) == (1, 1)
    assert workbench.rows("curated", "person") == [(1, "a")]


def test_columns_may_be_added_and_widened_at_the_source_but_not_dropped(workbench: Workbench) -> None:
    workbench.sql(
        "create table grow (id int primary key, n int, at timestamptz default '2020-01-01')",
        "insert into grow(id, n) values (1, 1), (2, 2)",
    )
    workbench.deploy(
        """
  - name: grow
    source: {connection: erp, table: grow}
    primary_key: [id]
    load: merge
    cursor: {column: at}
"""
    )
    workbench.run("r1")
    workbench.sql("alter table grow add column extra text default 'old'", "alter table grow alter n type bigint")
    workbench.sql("update grow set n = 3000000000 where id = 2")
    workbench.run("r2")
    assert workbench.rows("curated", "grow", "id", "n", "extra") == [(1, 1, "old"), (2, 3000000000, "old")]
    workbench.sql("alter table grow drop column extra")
    before = workbench.snapshots()
    with pytest.raises(EtlError, match=r"table grow: the source has no column extra any more.*source\.query"):
        workbench.run("r3")
    assert workbench.snapshots() == before


def test_a_row_that_was_invisible_to_the_snapshot_comes_with_the_next_run(workbench: Workbench) -> None:
    workbench.sql(
        "create table slow (id int primary key, at timestamptz default now())",
        "insert into slow values (1, now() - interval '1 hour')",
    )
    workbench.deploy(
        "  - {name: slow, source: {connection: erp, table: slow}, primary_key: [id], load: merge, cursor: {column: at}}"
    )
    open_transaction = workbench.login.connect()
    try:
        with open_transaction.cursor() as cursor:
            cursor.execute("insert into slow(id) values (2)")
            workbench.sql("insert into slow(id) values (3)")
            workbench.run("r1")
            open_transaction.commit()
    finally:
        open_transaction.close()
    assert [row[0] for row in workbench.rows("curated", "slow", "id")] == [1, 3]
    workbench.run("r2")
    assert [row[0] for row in workbench.rows("curated", "slow", "id")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("table", "statement", "message"),
    [
        (
            "source: {connection: erp, table: nowhere}, primary_key: [id], load: merge",
            "",
            "the source has no table nowhere",
        ),
        (
            "source: {connection: erp, table: bad_%}, primary_key: [key], load: merge",
            "create table bad_% (id int)",
            "primary_key: the source has no column 'key'. Its columns are: id",
        ),
        (
            "source: {connection: erp, table: bad_%}, primary_key: [id], load: merge, cursor: {column: at}",
            "create table bad_% (id int)",
            "cursor.column: the source has no column 'at'. Its columns are: id",
        ),
        (
            "source: {connection: erp, table: bad_%}, primary_key: [id], load: merge, cursor: {column: name}",
            "create table bad_% (id int, name text)",
            "column 'name' cannot be a cursor: it is read as string",
        ),
        (
            "source: {connection: erp, table: bad_%}, load: replace",
            "create table bad_% as select 7 as id, date 'infinity' as day",
            "column day row id=7: the value 'infinity' does not fit date. Correct it in the source, or declare it as text",
        ),
        ("source: {connection: erp, query: select nothing}, load: replace", "", "the source refused its query: column"),
        (
            "source: {connection: erp, table: bad_%}, load: replace",
            'create table bad_% (a int, "A" int)',
            "differ in nothing but case",
        ),
        (
            "source: {connection: other, table: a}, load: replace",
            "",
            "-other cannot be read (EntityNotFoundException). Add it to environments/",
        ),
    ],
    ids=["table", "key", "cursor", "cursor_type", "value", "query", "case", "connection"],
)
def test_a_source_that_cannot_be_read_says_what_to_mend(
    workbench: Workbench, table: str, statement: str, message: str
) -> None:
    name = workbench.name[-12:]
    if statement:
        workbench.sql(statement.replace("%", name))
    workbench.deploy("  - {name: wrong, " + table.replace("%", name) + "}")
    with pytest.raises((EtlError, EtlErrors)) as caught:
        workbench.run("r1")
    assert message in str(caught.value)
