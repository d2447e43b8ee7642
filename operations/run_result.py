"""A run as a whole: how Glue ended it, what its stages reported, its problems and what to do next."""

from dataclasses import dataclass

from etl_model.problems import Problem
from operations.failures import EXIT_FAILED_RUN, EXIT_SUCCESS
from operations.run_report import RunReport, read_run_report
from operations.target import Target
from operations.workflow import environment_option
from operations.workflow_run import StageRun, WorkflowRun

_LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class RunResult:
    """`problems` are empty only for a run that succeeded; `next_steps` are commands with a word on each."""

    run: WorkflowRun
    report: RunReport
    problems: tuple[Problem, ...]
    next_steps: tuple[tuple[str, str], ...]

    @property
    def exit_code(self) -> int:
        return EXIT_SUCCESS if self.run.state == "succeeded" else EXIT_FAILED_RUN


def read_result(target: Target, run: WorkflowRun) -> RunResult:
    """The result of a run that has ended."""
    report = read_run_report(target.s3, names=target.names, pipeline=run.pipeline, run_id=run.run_id)
    problems = run_problems(run, report, log_group=target.names.log_group(run.pipeline))
    return RunResult(run=run, report=report, problems=problems, next_steps=_next_steps(target, run, report))


def run_problems(run: WorkflowRun, report: RunReport, *, log_group: str) -> tuple[Problem, ...]:
    """Why the run did not succeed: the stages' own words, else those of Glue; empty when it did."""
    if run.state in ("running", "succeeded"):
        return ()
    problems: list[Problem] = []
    for stage in run.stages:
        if stage.is_broken:
            problems += _reported_errors(stage, report) or [_glue_error(stage, log_group)]
    if not problems:
        absent = ", ".join(stage.stage for stage in run.stages if stage.state == "waiting")
        what = run.error_message.rstrip(".") or f"it ended ({run.status}) although these stages never ran: {absent}"
        way_out = "See the workflow's triggers in Glue: each one must be activated"
        problems.append(Problem(f"workflow run {run.workflow_run_id}", what, way_out))
    return tuple(problems)


def _reported_errors(stage: StageRun, report: RunReport) -> list[Problem]:
    found = report.stages.get(stage.stage)
    # A resumed run shares its reports with the run before it: one of another job run tells nothing of this failure.
    if found is None or found.job_run_id not in stage.job_run_ids:
        return []
    return [error.problem for error in found.errors]


def _glue_error(stage: StageRun, log_group: str) -> Problem:
    message = " ".join(stage.error_message.split())[:_LONGEST_MESSAGE].rstrip(".")
    what = f"the job {stage.state}" if stage.state in ("timed out", "failed") else f"the job was {stage.state}"
    where = f"stage {stage.stage} ({stage.job_run_id})"
    return Problem(
        where, f"{what}: {message}" if message else what, f"Its log: {log_group}/output, stream {stage.job_run_id}"
    )


def _next_steps(target: Target, run: WorkflowRun, report: RunReport) -> tuple[tuple[str, str], ...]:
    options = environment_option(target)
    if run.state != "succeeded":
        again = f"etl resume {run.pipeline} {options}"
        return ((again, "continue this run from the stage that failed, once the cause is gone"),)
    steps = [(f"etl status {run.pipeline} {options}", "the runs of this pipeline")]
    if report.tables:
        query = f'etl query "SELECT * FROM {report.tables[0].table} LIMIT 10" --pipeline {run.pipeline} {options}'
        steps.insert(0, (query, "look at what was published"))
    if report.failed_checks:
        table = report.failed_checks[0].table
        database = target.names.database(run.pipeline, "quarantine")
        query = f'etl query "SELECT * FROM {database}.{table} LIMIT 10" --pipeline {run.pipeline} {options}'
        steps.insert(1, (query, "look at the rows that were held back"))
    return tuple(steps)
