from collections.abc import Iterator
from typing import Any

import pytest

from local_cloud import tpch, tpch_changes
from local_cloud.postgres import EmbeddedPostgres, PostgresLogin
from tests.conftest import free_port

SCALE = "0.01"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresLogin, PostgresLogin]]:
    """Two databases with the same data, in a folder with a path that is too long for a socket."""
    folder = tmp_path_factory.mktemp("a folder with quite a long name, too long for a unix socket in it " + "x" * 40)
    server = EmbeddedPostgres(folder, port=free_port(), database="first")
    try:
        first = server.start()
        server.ensure_database("second")
        second = server.login("second")
        for login in (first, second):
            assert tpch.load(login, SCALE)
        yield first, second
    finally:
        server.stop()


def test_a_loaded_scale_is_not_loaded_again(databases: tuple[PostgresLogin, PostgresLogin]) -> None:
    assert not tpch.load(databases[0], SCALE)
    assert _rows(databases[0], "SELECT count(*) FROM orders") == [(15000,)]


def test_what_a_row_says_of_its_last_change_is_history(databases: tuple[PostgresLogin, PostgresLogin]) -> None:
    sql = "SELECT count(*) FROM lineitem WHERE l_updated_at <> (l_shipdate + time '12:00') AT TIME ZONE 'UTC'"
    assert _rows(databases[0], sql) == [(0,)]


def test_the_same_seed_makes_the_same_changes(databases: tuple[PostgresLogin, PostgresLogin]) -> None:
    columns = {"orders": "o_updated_at", "lineitem": "l_updated_at", "customer": "c_updated_at"}
    before = {table: _rows(databases[0], f"SELECT count(*) FROM {table}")[0][0] for table in columns}
    counts = [tpch_changes.changes(login, seed=7) for login in databases]
    assert counts[0] == counts[1]
    for table, updated_at in columns.items():
        row = f"(to_jsonb(t) - '{updated_at}')::text"
        content = f"SELECT md5(string_agg({row}, '|' ORDER BY {row})) FROM {table} t"
        assert _rows(databases[0], content) == _rows(databases[1], content)
        change = counts[0][table]
        after = _rows(databases[0], f"SELECT count(*) FROM {table}")[0][0]
        assert after == before[table] + change["inserted"] - change["deleted"]
        clock = f"SELECT count(*) FROM {table} WHERE {updated_at} > now() - interval '1 hour'"
        assert _rows(databases[0], clock) == [(change["inserted"] + change["updated"],)]
    invalid = (
        "SELECT (SELECT count(*) FROM orders WHERE o_totalprice < 0 OR o_orderstatus = 'X'), "
        "(SELECT count(*) FROM lineitem WHERE l_quantity <= 0 OR l_discount > 1)"
    )
    assert _rows(databases[0], invalid) == [(counts[0]["orders"]["invalid"], counts[0]["lineitem"]["invalid"])]


def test_deleted_orders_take_their_lineitems_along(databases: tuple[PostgresLogin, PostgresLogin]) -> None:
    tpch_changes.changes(databases[0], seed=8)
    orphans = "SELECT count(*) FROM lineitem l WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_orderkey = l.l_orderkey)"
    assert _rows(databases[0], orphans) == [(0,)]


def _rows(login: PostgresLogin, sql: str) -> list[tuple[Any, ...]]:
    connection = login.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    finally:
        connection.close()
