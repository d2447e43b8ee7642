"""What happens in a business between two runs, on the TPC-H tables: about one per cent of the orders, at once.

Keys and values follow from the seed and the tables' content; only the `*_updated_at` columns take the database's clock.
"""

from typing import Any

from local_cloud.postgres import PostgresLogin

Counts = dict[str, dict[str, int]]

# Shares of the table's rows, in one per mille.
_DELETED_ORDERS, _UPDATED_ORDERS, _INSERTED_ORDERS = 1, 3, 6
_UPDATED_CUSTOMERS, _UPDATED_LINEITEMS = 5, 3
# Rows that a check has to stop. They are new rows, so that the rest of the source stays comparable.
_NEGATIVE_PRICES, _UNKNOWN_STATUSES, _NO_QUANTITIES, _HIGH_DISCOUNTS = 3, 2, 3, 2

_NUMBER = "('x' || substr(md5(%s || {key}), {start}, 7))::bit(28)::bigint"


def changes(login: PostgresLogin, *, seed: int) -> Counts:
    """Apply one batch. Returns {table: {"inserted", "updated", "deleted", "invalid"}}; invalid are among inserted."""
    connection = login.connect()
    try:
        with connection, connection.cursor() as cursor:
            # Parallel plans number and sum in another order; the result must follow from the seed.
            cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            return _apply(cursor, str(seed))
    finally:
        connection.close()


def _apply(cursor: Any, seed: str) -> Counts:
    cursor.execute("SELECT count(*) FROM orders")
    orders = int(cursor.fetchone()[0])
    counts: Counts = {table: dict.fromkeys(("inserted", "updated", "deleted", "invalid"), 0) for table in _CHANGED}
    cursor.execute(
        "CREATE TEMPORARY TABLE deleted ON COMMIT DROP AS "
        "SELECT o_orderkey FROM orders ORDER BY md5(%s || o_orderkey), o_orderkey LIMIT %s",
        [f"{seed}d", _share(orders, _DELETED_ORDERS)],
    )
    counts["lineitem"]["deleted"] = _run(cursor, "DELETE FROM lineitem USING deleted WHERE l_orderkey = o_orderkey")
    counts["orders"]["deleted"] = _run(cursor, "DELETE FROM orders o USING deleted d WHERE o.o_orderkey = d.o_orderkey")
    counts["orders"]["updated"] = _update_orders(cursor, seed, _share(orders, _UPDATED_ORDERS))
    counts["customer"]["updated"] = _update_customers(cursor, seed)
    counts["lineitem"]["updated"] = _update_lineitems(cursor, seed)
    _insert(cursor, seed, _share(orders, _INSERTED_ORDERS), counts)
    cursor.execute("UPDATE local_cloud_tpch SET batches = batches + 1")
    return counts


_CHANGED = ("customer", "orders", "lineitem")


def _update_orders(cursor: Any, seed: str, count: int) -> int:
    return _run(
        cursor,
        "UPDATE orders SET o_orderstatus = 'F', o_totalprice = o_totalprice + 10.01, o_updated_at = now() "
        "WHERE o_orderkey IN (SELECT o_orderkey FROM orders ORDER BY md5(%s || o_orderkey), o_orderkey LIMIT %s)",
        f"{seed}u",
        count,
    )


def _update_customers(cursor: Any, seed: str) -> int:
    cursor.execute("SELECT count(*) FROM customer")
    return _run(
        cursor,
        "UPDATE customer SET c_acctbal = c_acctbal + 5.25, c_updated_at = now() "
        "WHERE c_custkey IN (SELECT c_custkey FROM customer ORDER BY md5(%s || c_custkey), c_custkey LIMIT %s)",
        f"{seed}c",
        _share(int(cursor.fetchone()[0]), _UPDATED_CUSTOMERS),
    )


def _update_lineitems(cursor: Any, seed: str) -> int:
    cursor.execute("SELECT count(*) FROM lineitem")
    return _run(
        cursor,
        "UPDATE lineitem SET l_quantity = l_quantity + 1, l_returnflag = 'R', l_updated_at = now() "
        "WHERE (l_orderkey, l_linenumber) IN (SELECT l_orderkey, l_linenumber FROM lineitem "
        "ORDER BY md5(%s || l_orderkey || '/' || l_linenumber), l_orderkey, l_linenumber LIMIT %s)",
        f"{seed}l",
        _share(int(cursor.fetchone()[0]), _UPDATED_LINEITEMS),
    )


def _insert(cursor: Any, seed: str, count: int, counts: Counts) -> None:
    """New orders of the years 1997 and 1998 with one to four lineitems each; the first few of each are invalid."""
    number = [_NUMBER.format(key="n", start=start) for start in (1, 8, 15, 22)]
    counts["orders"]["inserted"] = _run(
        cursor,
        "CREATE TEMPORARY TABLE inserted ON COMMIT DROP AS "
        "SELECT n, (SELECT max(o_orderkey) FROM orders) + n AS key, date '1997-01-01' + (a %% 580)::int AS day, "
        "1 + (b %% 4)::int AS lines, a, b, c, d "
        f"FROM (SELECT n, {number[0]} AS a, {number[1]} AS b, {number[2]} AS c, {number[3]} AS d "
        "FROM generate_series(1, %s) AS n) AS numbers",
        *[f"{seed}i"] * 4,
        count,
    )
    last_negative = _NEGATIVE_PRICES
    last_unknown = last_negative + _UNKNOWN_STATUSES
    cursor.execute(
        "INSERT INTO orders SELECT key, 1 + a %% (SELECT max(c_custkey) FROM customer), "
        "CASE WHEN n > %s AND n <= %s THEN 'X' ELSE 'O' END, "
        "CASE WHEN n <= %s THEN -1 ELSE 1 END * (1000 + (c %% 40000000) / 100.0)::numeric(15,2), "
        "day, '3-MEDIUM', 'Clerk#' || lpad((d %% 1000)::text, 9, '0'), 0, 'batch ' || %s || ', order ' || n, now() "
        "FROM inserted",
        [last_negative, last_unknown, last_negative, seed],
    )
    counts["orders"]["invalid"] = min(count, last_unknown)
    counts["lineitem"]["inserted"] = _run(
        cursor,
        "INSERT INTO lineitem SELECT key, 1 + (a + line) %% (SELECT max(p_partkey) FROM part), "
        "1 + (b + line) %% (SELECT max(s_suppkey) FROM supplier), line, "
        "CASE WHEN place <= %s THEN 1 - place ELSE 1 + (c + line) %% 50 END, "
        "(900 + ((d + line) %% 10000000) / 100.0)::numeric(15,2), "
        "CASE WHEN place > %s AND place <= %s THEN 1.5 ELSE ((a + line) %% 11) / 100.0 END, "
        "((b + line) %% 9) / 100.0, 'N', 'O', day + 10 + line, day + 30, day + 20 + line, 'NONE', 'TRUCK', "
        "'batch ' || %s, now() "
        "FROM (SELECT *, row_number() OVER (ORDER BY n, line) AS place "
        "FROM inserted, LATERAL generate_series(1, lines) AS line WHERE n > %s) AS placed",
        _NO_QUANTITIES,
        _NO_QUANTITIES,
        _NO_QUANTITIES + _HIGH_DISCOUNTS,
        seed,
        # Lineitems belong to valid orders, so that what a check stops is counted once.
        last_unknown,
    )
    counts["lineitem"]["invalid"] = min(counts["lineitem"]["inserted"], _NO_QUANTITIES + _HIGH_DISCOUNTS)


def _run(cursor: Any, statement: str, *values: object) -> int:
    cursor.execute(statement, values or None)
    return int(cursor.rowcount)


def _share(rows: int, per_mille: int) -> int:
    return max(1, rows * per_mille // 1000)
