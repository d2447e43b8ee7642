"""Change sets in the warehouse: applied once, in order, whole or not at all."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from snowflake.connector.errors import OperationalError

from etl_runtime.errors import EtlError
from etl_runtime.warehouse.load import Warehouse
from etl_runtime.warehouse.model import (
    AppliedCounts,
    ChangeSet,
    Fingerprint,
    OutOfSequence,
    SchemaConflict,
    WarehouseAhead,
    WarehouseColumn,
    WarehouseTable,
)
from tests.warehouse.conftest import Lake, Schema

ORDERS = WarehouseTable(
    name="orders",
    columns=(WarehouseColumn("id", "bigint"), WarehouseColumn("status", "string")),
    key=("id",),
)
ITEMS = WarehouseTable(
    name="order_items",
    columns=(
        WarehouseColumn("id", "bigint"),
        WarehouseColumn("Line No", "int"),
        WarehouseColumn("price", "decimal(10,2)"),
    ),
    key=("id", "Line No"),
)


def full(lake: Lake, rows: list[tuple[int, str | None]], *, seq: int) -> ChangeSet:
    table = pa.table(
        {"id": pa.array([i for i, _ in rows], pa.int64()), "status": pa.array([s for _, s in rows], pa.string())}
    )
    return ChangeSet("full", (lake.put(table)[0],), len(rows), seq, 0)


def delta(lake: Lake, rows: list[tuple[str, int | None, str | None]], *, seq: int, after_seq: int) -> ChangeSet:
    table = pa.table(
        {
            "_etl_op": pa.array([op for op, _, _ in rows], pa.string()),
            "id": pa.array([i for _, i, _ in rows], pa.int64()),
            "status": pa.array([s for _, _, s in rows], pa.string()),
            "_etl_seq": pa.array([seq] * len(rows), pa.int64()),
        }
    )
    return ChangeSet("delta", (lake.put(table)[0],), len(rows), seq, after_seq)


@pytest.fixture
def loaded(schema: Schema, lake: Lake) -> Schema:
    """`orders` at seq 3: 1 open, 2 open, 3 NULL."""
    with schema.warehouse() as warehouse:
        warehouse.apply(ORDERS, full(lake, [(1, "open"), (2, "open"), (3, None)], seq=3))
    return schema


def test_a_table_is_empty_to_the_warehouse_before_its_first_load(schema: Schema) -> None:
    with schema.warehouse() as warehouse:
        assert warehouse.acknowledged("orders") is None


def test_a_full_load_creates_the_table_under_a_name_that_needs_no_quotes(loaded: Schema) -> None:
    assert loaded.account.sql(f"select id, status from tests.{loaded.name}.orders order by id") == [
        (1, "open"),
        (2, "open"),
        (3, None),
    ]


def test_a_full_load_replaces_what_was_there(loaded: Schema, lake: Lake) -> None:
    with loaded.warehouse(run_id="run-2") as warehouse:
        assert warehouse.apply(ORDERS, full(lake, [(9, "")], seq=7)) == AppliedCounts(1, 0, 3, 1)
        assert warehouse.acknowledged("orders") == 7
    assert loaded.rows("ORDERS") == [(9, "")]


def test_a_table_that_became_empty_is_empty_in_the_warehouse(loaded: Schema) -> None:
    with loaded.warehouse() as warehouse:
        assert warehouse.apply(ORDERS, ChangeSet("full", (), 0, 4, 3)) == AppliedCounts(0, 0, 3, 0)
    assert loaded.rows("ORDERS") == []


def test_a_delta_inserts_updates_and_deletes_by_key(loaded: Schema, lake: Lake) -> None:
    changes = delta(lake, [("I", 4, "new"), ("U", 1, "paid"), ("D", 2, None), ("D", 77, None)], seq=4, after_seq=3)
    with loaded.warehouse() as warehouse:
        assert warehouse.apply(ORDERS, changes) == AppliedCounts(inserted=1, updated=1, deleted=1, rows_after=3)
    assert loaded.rows("ORDERS") == [(1, "paid"), (3, None), (4, "new")]


def test_a_key_of_several_columns_and_a_name_with_a_space_is_merged(schema: Schema, lake: Lake) -> None:
    columns = {"id": pa.array([1, 1], pa.int64()), "Line No": pa.array([1, 2], pa.int32())}
    prices = {"price": pa.array(["1.10", "2.20"]).cast(pa.decimal128(10, 2))}
    more = {"price": pa.array(["9.99", None]).cast(pa.decimal128(10, 2)), "_etl_op": pa.array(["U", "D"])}
    with schema.warehouse() as warehouse:
        warehouse.apply(ITEMS, ChangeSet("full", (lake.put(pa.table({**columns, **prices}))[0],), 2, 1, 0))
        warehouse.apply(ITEMS, ChangeSet("delta", (lake.put(pa.table({**columns, **more}))[0],), 2, 2, 1))
    assert [(i, n, str(p)) for i, n, p in schema.rows("ORDER_ITEMS")] == [(1, 1, "9.99")]


def test_a_table_of_keys_only_is_merged(schema: Schema, lake: Lake) -> None:
    keys = WarehouseTable("keys", (WarehouseColumn("id", "bigint"),), ("id",))
    with schema.warehouse() as warehouse:
        warehouse.apply(keys, ChangeSet("full", (lake.put(pa.table({"id": [1, 2]}))[0],), 2, 1, 0))
        changes = pa.table({"id": [1, 2, 3], "_etl_op": ["U", "D", "I"]})
        assert warehouse.apply(keys, ChangeSet("delta", (lake.put(changes)[0],), 3, 2, 1)).rows_after == 2
    assert schema.rows("KEYS") == [(1,), (3,)]


def test_an_append_adds_rows_once(loaded: Schema, lake: Lake) -> None:
    rows = pa.table({"id": pa.array([3], pa.int64()), "status": ["again"]})
    change = ChangeSet("append", (lake.put(rows)[0],), 1, 4, 3)
    for run in ("run-2", "run-3"):
        with loaded.warehouse(run_id=run) as warehouse:
            assert warehouse.apply(ORDERS, change) == AppliedCounts(1, 0, 0, 4)
    assert loaded.rows("ORDERS", "ID") == [(1,), (2,), (3,), (3,)]


def test_a_change_set_that_was_applied_does_nothing_and_gives_its_counts(loaded: Schema, lake: Lake) -> None:
    changes = delta(lake, [("U", 1, "paid")], seq=4, after_seq=3)
    with loaded.warehouse() as warehouse:
        first = warehouse.apply(ORDERS, changes)
    loaded.account.sql(f"update tests.{loaded.name}.orders set status = 'touched' where id = 1")
    with loaded.warehouse(run_id="run-2") as warehouse:
        assert warehouse.apply(ORDERS, changes) == first
    assert loaded.rows("ORDERS")[0] == (1, "touched")
    assert loaded.rows("ETL_LOADS", "SEQ, RUN_ID, KIND, IS_LATEST")[:2] == [
        (3, "run-1", "full", False),
        (4, "run-1", "delta", True),
    ]


@pytest.mark.parametrize("after_seq", [2, 4])
def test_a_delta_that_does_not_follow_is_refused(loaded: Schema, lake: Lake, after_seq: int) -> None:
    changes = delta(lake, [("D", 1, None)], seq=5, after_seq=after_seq)
    with (
        loaded.warehouse() as warehouse,
        pytest.raises(OutOfSequence, match=f"holds change set 3.*follows {after_seq}"),
    ):
        warehouse.apply(ORDERS, changes)
    assert len(loaded.rows("ORDERS")) == 3


def test_a_delta_on_an_empty_warehouse_is_refused_and_creates_no_table(schema: Schema, lake: Lake) -> None:
    with schema.warehouse() as warehouse, pytest.raises(OutOfSequence, match="is empty"):
        warehouse.apply(ORDERS, delta(lake, [("I", 1, "x")], seq=2, after_seq=1))
    assert schema.tables() == ["ETL_LOADS"]


def test_an_older_state_of_the_lake_never_replaces_a_newer_one(loaded: Schema, lake: Lake) -> None:
    with loaded.warehouse() as warehouse, pytest.raises(WarehouseAhead, match="holds change set 3"):
        warehouse.apply(ORDERS, full(lake, [], seq=2))
    assert len(loaded.rows("ORDERS")) == 3


def broken(lake: Lake) -> list[tuple[str, ChangeSet]]:
    good = delta(lake, [("D", 1, None)], seq=4, after_seq=3)
    return [
        ("declares 2 rows and Snowflake read 1", ChangeSet("delta", good.files, 2, 4, 3)),
        ("1 keys .* more than one row", delta(lake, [("D", 1, None), ("U", 1, "x")], seq=4, after_seq=3)),
        ("1 rows have NULL in the key", delta(lake, [("D", 1, None), ("I", None, "x")], seq=4, after_seq=3)),
        ("1 rows have an _etl_op other", delta(lake, [("D", 1, None), ("X", 2, "x")], seq=4, after_seq=3)),
        ("no bucket with a stage", ChangeSet("delta", ("s3://other/x.parquet",), 1, 4, 3)),
        ("Snowflake", ChangeSet("delta", (*good.files, good.files[0] + ".absent"), 1, 4, 3)),
    ]


@pytest.mark.parametrize("case", range(6))
def test_a_broken_change_set_leaves_everything_untouched(loaded: Schema, lake: Lake, case: int) -> None:
    message, change = broken(lake)[case]
    before = loaded.rows("ORDERS"), loaded.rows("ETL_LOADS")
    with loaded.warehouse(run_id="run-2") as warehouse:
        with pytest.raises(EtlError, match=message):
            warehouse.apply(ORDERS, change)
        assert warehouse.acknowledged("orders") == 3
    assert (loaded.rows("ORDERS"), loaded.rows("ETL_LOADS")) == before


def test_rows_that_someone_else_wrote_are_noticed_by_the_fingerprint(loaded: Schema, lake: Lake) -> None:
    with loaded.warehouse() as warehouse:
        before = warehouse.fingerprint(ORDERS)
        loaded.account.sql(f"update tests.{loaded.name}.orders set status = '' where id = 3")
        after = warehouse.fingerprint(ORDERS)
    assert before.rows == after.rows == 3
    assert before.checksum != after.checksum


def test_the_fingerprint_of_a_change_set_is_that_of_its_keys(loaded: Schema, lake: Lake) -> None:
    changes = delta(lake, [("I", 4, "new"), ("U", 1, "paid"), ("D", 2, None)], seq=4, after_seq=3)
    with loaded.warehouse() as warehouse:
        warehouse.apply(ORDERS, changes)
        of_keys = warehouse.fingerprint(ORDERS, changes)
    assert of_keys.rows == 2
    with loaded.warehouse(run_id="run-2") as again:
        assert again.fingerprint(ORDERS, changes) == of_keys
        whole = again.fingerprint(ORDERS)
        loaded.account.sql(f"delete from tests.{loaded.name}.orders where id = 3")
        assert again.fingerprint(ORDERS) == of_keys != whole


def test_the_fingerprint_of_an_empty_table_is_zero(schema: Schema) -> None:
    with schema.warehouse() as warehouse:
        warehouse.apply(ORDERS, ChangeSet("full", (), 0, 1, 0))
        assert warehouse.fingerprint(ORDERS) == Fingerprint(0, 0)


def test_no_staging_table_is_left_also_not_of_a_killed_run(loaded: Schema, lake: Lake) -> None:
    killed = loaded.warehouse(run_id="killed")
    killed.apply(ORDERS, delta(lake, [("D", 1, None)], seq=4, after_seq=3))
    assert len(loaded.tables()) == 3
    with loaded.warehouse(run_id="run-2") as warehouse:
        warehouse.apply(ORDERS, delta(lake, [("D", 2, None)], seq=5, after_seq=4))
    assert loaded.tables() == ["ETL_LOADS", "ORDERS"]


def test_new_columns_are_added_and_decimals_widened(schema: Schema, lake: Lake) -> None:
    wider = WarehouseTable(
        name="order_items",
        columns=(*ITEMS.columns[:2], WarehouseColumn("price", "decimal(20,2)"), WarehouseColumn("note", "string")),
        key=ITEMS.key,
    )
    first = pa.table({"id": [1], "Line No": [1], "price": pa.array(["1.10"]).cast(pa.decimal128(10, 2))})
    second = pa.table(
        {
            "id": [2],
            "Line No": [1],
            "price": pa.array(["123456789012345678.90"]).cast(pa.decimal128(20, 2)),
            "note": ["wide"],
            "_etl_op": ["I"],
        }
    )
    with schema.warehouse() as warehouse:
        warehouse.apply(ITEMS, ChangeSet("full", (lake.put(first)[0],), 1, 1, 0))
        warehouse.apply(wider, ChangeSet("delta", (lake.put(second)[0],), 1, 2, 1))
    assert [(str(price), note) for _, _, price, note in schema.rows("ORDER_ITEMS")] == [
        ("1.10", None),
        ("123456789012345678.90", "wide"),
    ]


def test_a_type_that_cannot_be_widened_is_refused_before_any_change(loaded: Schema, lake: Lake) -> None:
    changed = WarehouseTable("orders", (ORDERS.columns[0], WarehouseColumn("status", "date")), ("id",))
    with (
        loaded.warehouse() as warehouse,
        pytest.raises(SchemaConflict, match="status: it is VARCHAR in Snowflake and DATE"),
    ):
        warehouse.apply(changed, full(lake, [], seq=4))
    assert len(loaded.rows("ORDERS")) == 3


def test_a_missing_stage_is_named_with_its_bucket(schema: Schema) -> None:
    warehouse = Warehouse(
        connect=schema.account.connect, database="TESTS", schema=schema.name, stages={"other": "OTHER"}, run_id="r"
    )
    with warehouse, pytest.raises(EtlError, match=r'"OTHER".*s3://other/ and is not there'):
        warehouse.prepare()


class FaultyNetwork:
    """A session whose `fault` is called in place of the first statement that starts with `at`."""

    def __init__(self, session: Any, at: str, fault: Callable[[Any, str], None]) -> None:
        self.session, self.at, self.fault = session, at, fault

    def close(self) -> None:
        self.session.close()

    def cursor(self) -> Any:
        cursor = self.session.cursor()
        execute = cursor.execute

        def checked(sql: str, *rest: Any) -> Any:
            if sql.startswith(self.at):
                self.at = "\0"
                self.fault(execute, sql)
            return execute(sql, *rest)

        cursor.execute = checked
        return cursor


class Killed(BaseException):
    """The process ends here."""


def test_a_load_killed_between_merge_and_commit_leaves_nothing(loaded: Schema, lake: Lake) -> None:
    session = loaded.account.connect(loaded.name)

    def die(execute: Any, _sql: str) -> None:
        # What Snowflake does with the transaction of a session that ends.
        execute("ROLLBACK")
        session.close()
        raise Killed

    changes = delta(lake, [("D", 1, None), ("I", 4, "new")], seq=4, after_seq=3)
    killed = loaded.warehouse(run_id="killed", connect=lambda: FaultyNetwork(session, "COMMIT", die))  # type: ignore[arg-type, return-value]
    with pytest.raises(Killed):
        killed.apply(ORDERS, changes)
    assert loaded.rows("ORDERS") == [(1, "open"), (2, "open"), (3, None)]
    with loaded.warehouse(run_id="resumed") as warehouse:
        assert warehouse.acknowledged("orders") == 3
        assert warehouse.apply(ORDERS, changes) == AppliedCounts(1, 0, 1, 3)
    assert loaded.rows("ORDERS", "ID") == [(2,), (3,), (4,)]


@pytest.mark.parametrize("reached", [True, False], ids=["and_was_done", "and_was_not_done"])
def test_a_commit_whose_answer_is_lost_is_applied_once(loaded: Schema, lake: Lake, reached: bool) -> None:
    sessions: list[Any] = []

    def lose(execute: Any, sql: str) -> None:
        if reached:
            execute(sql)
        raise OperationalError("connection reset")

    def connect() -> Any:
        at = "\0" if sessions else "COMMIT"
        sessions.append(FaultyNetwork(loaded.account.connect(loaded.name), at, lose))
        return sessions[-1]

    rows = pa.table({"id": pa.array([4], pa.int64()), "status": ["appended"]})
    with loaded.warehouse(connect=connect) as warehouse:
        assert warehouse.apply(ORDERS, ChangeSet("append", (lake.put(rows)[0],), 1, 4, 3)) == AppliedCounts(1, 0, 0, 4)
    assert len(sessions) == 2
    assert loaded.rows("ORDERS", "ID") == [(1,), (2,), (3,), (4,)]


def test_of_two_runs_that_apply_at_once_one_is_refused(loaded: Schema, lake: Lake) -> None:
    mine = delta(lake, [("U", 1, "mine")], seq=4, after_seq=3)
    theirs = delta(lake, [("U", 2, "theirs")], seq=4, after_seq=3)
    session = loaded.account.connect(loaded.name)

    def overtake(_execute: Any, _sql: str) -> None:
        with loaded.warehouse(run_id="theirs") as other:
            other.apply(ORDERS, theirs)

    late = loaded.warehouse(run_id="mine", connect=lambda: FaultyNetwork(session, "BEGIN", overtake))  # type: ignore[arg-type, return-value]
    with late, pytest.raises(EtlError):
        late.apply(ORDERS, mine)
    assert loaded.rows("ORDERS") == [(1, "open"), (2, "theirs"), (3, None)]
