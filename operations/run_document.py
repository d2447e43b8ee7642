"""A run as one JSON document, for scripts: the same facts that run_tables shows to people."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from etl_model.problems import Problem
from operations.run_report import RunReport, TableResult
from operations.run_result import RunResult
from operations.workflow_run import StageRun, WorkflowRun


def run_document(result: RunResult, *, environment: str, now: datetime) -> dict[str, Any]:
    """Keys are stable; counts are whole numbers or null, seconds are numbers, times are ISO 8601 in UTC."""
    run, report = result.run, result.report
    return {
        **run_summary(run, report, environment=environment, now=now),
        "stages": [_stage(stage, now) for stage in run.stages],
        "tables": [_table(table) for table in report.tables],
        "failed_checks": [check.model_dump(mode="json") for check in report.failed_checks],
        "checks_passed": sum(check.outcome == "passed" for check in report.checks),
        "comparison": [row.model_dump(mode="json") for row in report.comparison],
        "errors": problem_documents(result.problems),
        "next": [command for command, _ in result.next_steps],
    }


def run_summary(run: WorkflowRun, report: RunReport | None, *, environment: str, now: datetime) -> dict[str, Any]:
    """One line of a run's history; `rows_read` and `rows_loaded` are null where no stage has reported them."""
    broken = run.broken_stage
    return {
        "environment": environment,
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "workflow_run_id": run.workflow_run_id,
        "state": run.state,
        "mode": run.mode,
        "only_tables": list(run.tables),
        "started_at": _iso(run.started),
        "finished_at": _iso(run.completed),
        "seconds": round(run.seconds(now), 3),
        "failed_stage": broken.stage if broken else None,
        "rows_read": report.total("source_rows") if report else None,
        "rows_loaded": report.rows_loaded if report else None,
        "rows_quarantined": report.total("quarantined_rows") if report else None,
        "rows_deleted": report.total("deleted_rows") if report and report.is_loaded else None,
    }


def problem_documents(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [asdict(problem) for problem in problems]


def _stage(stage: StageRun, now: datetime) -> dict[str, Any]:
    seconds = stage.seconds(now)
    return {
        "stage": stage.stage,
        "state": stage.state,
        "attempts": len(stage.job_run_ids),
        "job_run_id": stage.job_run_id,
        "seconds": None if seconds is None else round(seconds, 3),
    }


def _table(table: TableResult) -> dict[str, Any]:
    return {**asdict(table), "seconds": dict(table.seconds)}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
