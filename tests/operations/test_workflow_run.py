"""The outcome of a run is that of its jobs' last attempts; Glue's COMPLETED is not success."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from operations.target import Target
from operations.workflow_run import WorkflowRun, read_workflow_run

OK = [("SUCCEEDED", "")]
Judge = Callable[..., WorkflowRun]


@pytest.fixture
def judge(target: Target, workflow_answer: Callable[..., dict[str, Any]]) -> Judge:
    def read(stages: dict[str, list[tuple[str, str]]], **others: Any) -> WorkflowRun:
        return read_workflow_run(workflow_answer(stages, **others), pipeline="shop", names=target.names)

    return read


def test_a_run_whose_four_jobs_succeeded_has_succeeded(judge: Judge) -> None:
    run = judge({"extract": OK, "transform": OK, "validate": OK, "load": OK})
    assert run.state == "succeeded"
    assert run.broken_stage is None
    assert [stage.seconds(datetime.now(UTC)) for stage in run.stages] == [8.0, 8.0, 8.0, 8.0]


def test_a_completed_run_with_a_failed_job_has_failed(judge: Judge) -> None:
    run = judge({"extract": OK, "transform": [("FAILED", "boom")]})
    assert run.status == "COMPLETED"
    assert run.state == "failed"
    assert run.broken_stage is not None
    assert (run.broken_stage.stage, run.broken_stage.error_message) == ("transform", "boom")


def test_a_retry_that_succeeds_is_a_success(judge: Judge) -> None:
    run = judge({"extract": [("FAILED", "network"), ("SUCCEEDED", "")], "transform": OK, "validate": OK, "load": OK})
    assert run.state == "succeeded"
    assert run.stages[0].job_run_ids == ("jr_extract_0", "jr_extract_1")


def test_a_retry_that_fails_is_a_failure_with_the_message_of_the_last_attempt(judge: Judge) -> None:
    run = judge({"extract": [("FAILED", "first"), ("FAILED", "second")]})
    assert run.broken_stage is not None
    assert run.broken_stage.error_message == "second"


def test_a_completed_run_in_which_a_job_never_started_has_failed(judge: Judge) -> None:
    run = judge({"extract": OK, "transform": OK, "validate": OK, "load": []})
    assert run.state == "failed"
    assert run.broken_stage is not None
    assert (run.broken_stage.stage, run.broken_stage.state) == ("load", "waiting")


@pytest.mark.parametrize(
    ("glue", "stage_state", "run_state"),
    [("TIMEOUT", "timed out", "failed"), ("STOPPED", "stopped", "stopped"), ("ERROR", "failed", "failed")],
)
def test_other_ends_of_a_job_are_no_success(judge: Judge, glue: str, stage_state: str, run_state: str) -> None:
    run = judge({"extract": [(glue, "")]})
    assert (run.stages[0].state, run.state) == (stage_state, run_state)


def test_a_run_waiting_for_a_retry_is_still_running(judge: Judge) -> None:
    run = judge({"extract": [("FAILED", "first")]}, status="RUNNING")
    assert run.state == "running"
    assert run.broken_stage is None


def test_a_run_of_the_scheduler_is_known_by_the_id_of_its_workflow_run(judge: Judge) -> None:
    run = judge({"extract": OK}, properties={"run_id": "", "mode": "", "tables": ""})
    assert (run.run_id, run.mode, run.tables) == ("wr_1", "incremental", ())


def test_mode_and_tables_are_read_back_from_the_run(judge: Judge) -> None:
    run = judge({"extract": OK}, properties={"mode": "full_refresh", "tables": "orders, products"})
    assert (run.mode, run.tables) == ("full_refresh", ("orders", "products"))
