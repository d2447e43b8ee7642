"""Executes one attempt of a job run: the deployed script from S3, with the deployed arguments and packages."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_cloud.emulator import packages
from local_cloud.emulator.job_logs import JobLog
from local_cloud.emulator.job_runs import Attempt, Outcome
from local_cloud.emulator.settings import Settings
from local_cloud.emulator.warm_sessions import WarmSessions
from local_cloud.emulator.worker_process import WorkerProcess

_DEFAULT_LOG_PREFIX = "/aws-glue/jobs"
_POLL_SECONDS = 0.1


class GlueRunner:
    """`execute` blocks until the attempt has ended; call it from a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        sessions: WarmSessions,
        *,
        more_runs_expected: Callable[[], bool],
        seconds_per_minute: float = 60.0,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._more_runs_expected = more_runs_expected
        self._seconds_per_minute = seconds_per_minute
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def execute(self, attempt: Attempt) -> Outcome:
        prefix = attempt.arguments.get("--custom-logGroup-prefix", _DEFAULT_LOG_PREFIX)
        file = self._settings.runs / f"{attempt.run_id}.log"
        with JobLog(prefix=prefix, run_id=attempt.run_id, file=file) as log:
            worker = self._worker(attempt)
            try:
                order = self._order(attempt, worker.scratch, log)
                if not worker.assign(order, log.write):
                    worker.end()
                    worker = WorkerProcess(self._settings, warm=False)
                    order = self._order(attempt, worker.scratch, log)
                    worker.assign(order, log.write)
                return self._supervise(attempt, worker, Path(order["report"]), log)
            except packages.PackageError as error:
                log.write("error", str(error))
                return Outcome("FAILED", str(error))
            finally:
                worker.end()

    def _worker(self, attempt: Attempt) -> WorkerProcess:
        is_spark = attempt.job.get("Command", {}).get("Name") == "glueetl"
        warm = self._sessions.take() if is_spark else None
        worker = warm or WorkerProcess(self._settings, warm=False)
        if self._more_runs_expected():
            self._sessions.expect_runs()
        return worker

    def _order(self, attempt: Attempt, scratch: Path, log: JobLog) -> dict[str, Any]:
        folder = scratch / "job"
        folder.mkdir(exist_ok=True)
        download = packages.download_from(self._s3)
        path = packages.python_path(
            attempt.arguments,
            download=download,
            folder=folder,
            wheels=self._settings.wheels,
            log=lambda line: log.write("error", line),
        )
        script = download(attempt.job["Command"]["ScriptLocation"], folder)
        return {
            "script": str(script),
            "arguments": [part for name, value in attempt.arguments.items() for part in (name, value)],
            "environment": {},
            "path": path,
            "folder": str(folder),
            "report": str(scratch / "error.txt"),
        }

    def _supervise(self, attempt: Attempt, worker: WorkerProcess, report: Path, log: JobLog) -> Outcome:
        deadline = time.monotonic() + attempt.timeout_minutes * self._seconds_per_minute
        while True:
            code = worker.wait(_POLL_SECONDS)
            if attempt.stop_requested.is_set():
                worker.end()
                return Outcome("STOPPED")
            if code is not None:
                error = report.read_text(encoding="utf-8") if report.exists() else ""
                worker.end()
                return Outcome("SUCCEEDED") if code == 0 else Outcome("FAILED", error or _crash(code, log))
            if time.monotonic() >= deadline:
                worker.end()
                return Outcome("TIMEOUT", f"Job run timed out after {attempt.timeout_minutes:g} minutes")


def _crash(code: int, log: JobLog) -> str:
    """A process that ended without an exception: killed, out of memory, os._exit."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"Command failed with {how}" + (f": {log.last_error_line[:500]}" if log.last_error_line else "")
