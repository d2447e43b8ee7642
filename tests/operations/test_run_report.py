"""Stage reports become one typed report, and the reasons of a failure come from them where they are of that run."""

from collections.abc import Callable
from typing import Any

import pytest

from operations.failures import OperationError
from operations.run_report import CheckResult, TableResult, read_run_report
from operations.run_result import run_problems
from operations.target import Target
from operations.workflow_run import WorkflowRun, read_workflow_run

RUN = "20261123T201344-ab12cd"
Put = Callable[..., None]
OK = [("SUCCEEDED", "")]


def test_each_count_is_taken_from_the_stage_that_decides_it(target: Target, put_report: Put) -> None:
    put_report(
        "extract",
        run_id=RUN,
        job_run_id="jr_1",
        tables={
            "orders": {
                "source_rows": 10,
                "unchanged_rows": 2,
                "raw_rows": 8,
                "deleted_rows": 1,
                "seq": 7,
                "seconds": 1.5,
            }
        },
    )
    put_report(
        "transform",
        run_id=RUN,
        job_run_id="jr_2",
        tables={"orders": {"raw_rows": 8, "staged_rows": 7, "superseded_rows": 1, "filtered_rows": 0, "seconds": 2.5}},
    )
    put_report(
        "validate",
        run_id=RUN,
        job_run_id="jr_3",
        tables={"orders": {"staged_rows": 7, "valid_rows": 5, "quarantined_rows": 2, "seconds": 0.5}},
    )
    load = {
        "valid_rows": 5, "inserted_rows": 3, "updated_rows": 2, "deleted_rows": 1, "unchanged_rows": 4, "stale_rows": 0,
        "curated_rows": 103, "warehouse_rows": 103, "seconds": 4.0,
    }  # fmt: skip
    put_report(
        "load", run_id=RUN, job_run_id="jr_4", tables={"orders": load, "daily": {"inserted_rows": 4, "seconds": 1.0}}
    )
    report = read_run_report(target.s3, names=target.names, pipeline="shop", run_id=RUN)
    assert report.tables == (
        TableResult(
            table="orders",
            source_rows=10,
            unchanged_rows=6,
            inserted_rows=3,
            updated_rows=2,
            superseded_rows=1,
            quarantined_rows=2,
            deleted_rows=1,
            filtered_rows=0,
            stale_rows=0,
            curated_rows=103,
            warehouse_rows=103,
            seconds=(("extract", 1.5), ("transform", 2.5), ("validate", 0.5), ("load", 4.0)),
        ),
        TableResult(table="daily", inserted_rows=4, seconds=(("load", 1.0),)),
    )
    assert report.rows_loaded == 9
    assert report.total("quarantined_rows") == 2


def test_failed_checks_keep_their_sample_rows(target: Target, put_report: Put) -> None:
    failed = {
        "table": "orders",
        "rule": "x > 0",
        "outcome": "failed",
        "failed_rows": 1,
        "sample": [{"id": "7", "x": None}],
    }
    passed = {"table": "orders", "rule": "RowCount > 0", "outcome": "passed", "failed_rows": 0, "sample": []}
    put_report("validate", run_id=RUN, job_run_id="jr_3", checks=[failed, passed])
    report = read_run_report(target.s3, names=target.names, pipeline="shop", run_id=RUN)
    assert report.failed_checks == (
        CheckResult(table="orders", rule="x > 0", outcome="failed", failed_rows=1, sample=[{"id": "7", "x": None}]),
    )


def test_rows_of_a_load_that_failed_are_not_called_loaded(target: Target, put_report: Put) -> None:
    error = {"where": "mart daily", "what": "no such column", "way_out": "Correct the SQL"}
    put_report("load", run_id=RUN, job_run_id="jr_4", tables={"orders": {"inserted_rows": 3}}, errors=[error])
    assert read_run_report(target.s3, names=target.names, pipeline="shop", run_id=RUN).rows_loaded is None


def test_a_run_without_reports_is_an_empty_report(target: Target) -> None:
    report = read_run_report(target.s3, names=target.names, pipeline="shop", run_id="never")
    assert (report.stages, report.tables, report.total("source_rows")) == ({}, (), None)


def test_keys_of_a_newer_runtime_are_no_error(target: Target, put_report: Put) -> None:
    put_report(
        "extract", run_id=RUN, job_run_id="jr_1", tables={"orders": {"source_rows": 1, "new": "x"}}, later={"a": 1}
    )
    assert read_run_report(target.s3, names=target.names, pipeline="shop", run_id=RUN).total("source_rows") == 1


def test_a_document_that_is_no_report_is_told_with_its_place_and_key(target: Target, put_report: Put) -> None:
    put_report("extract", run_id=RUN, job_run_id="jr_1", status="perhaps")
    with pytest.raises(OperationError, match=f"s3://.*runs/shop/{RUN}/extract.json: not a stage report: status"):
        read_run_report(target.s3, names=target.names, pipeline="shop", run_id=RUN)


def test_a_failed_stage_explains_itself_in_its_own_words(
    target: Target, put_report: Put, workflow_answer: Callable[..., dict[str, Any]]
) -> None:
    error = {"where": "orders.total", "what": "value 1e400 does not fit double", "way_out": "Declare a cast"}
    put_report("extract", run_id=RUN, job_run_id="jr_extract_1", errors=[error])
    run = _run(target, workflow_answer({"extract": [("FAILED", "exit 1"), ("FAILED", "exit 1")]}))
    [problem] = _problems(target, run)
    assert str(problem) == "orders.total: value 1e400 does not fit double. Declare a cast"


def test_a_report_of_an_earlier_attempt_to_run_does_not_explain_a_killed_job(
    target: Target, put_report: Put, workflow_answer: Callable[..., dict[str, Any]]
) -> None:
    error = {"where": "orders", "what": "the old reason", "way_out": ""}
    put_report("extract", run_id=RUN, job_run_id="jr_of_the_run_before", errors=[error])
    [problem] = _problems(target, _run(target, workflow_answer({"extract": [("FAILED", "killed by the OOM killer")]})))
    assert problem.what == "the job failed: killed by the OOM killer"
    assert problem.way_out == "Its log: /etl/etl-sandbox/shop/output, stream jr_extract_0"


def test_a_run_that_succeeded_has_no_problems(target: Target, workflow_answer: Callable[..., dict[str, Any]]) -> None:
    run = _run(target, workflow_answer({"extract": OK, "transform": OK, "validate": OK, "load": OK}))
    assert _problems(target, run) == ()


def _run(target: Target, answer: dict[str, Any]) -> WorkflowRun:
    return read_workflow_run(answer, pipeline="shop", names=target.names)


def _problems(target: Target, run: WorkflowRun) -> Any:
    report = read_run_report(target.s3, names=target.names, pipeline="shop", run_id=run.run_id)
    return run_problems(run, report, log_group=target.names.log_group("shop"))
