"""The log of a job run as it grows: JSON lines in CloudWatch, written by etl_runtime.run_log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from operations.failures import error_code

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_PAGES_PER_READ = 10


@dataclass(frozen=True)
class LogLine:
    """One line of a stage; `table` is None where the line is about the stage as a whole."""

    stage: str
    table: str | None
    level: str
    message: str


class JobLog:
    """Reads a log stream from its start, each line once; a stream that is not there yet has no lines."""

    def __init__(self, logs: "CloudWatchLogsClient", *, log_group: str, job_run_id: str) -> None:
        self._logs = logs
        self._log_group, self._stream = f"{log_group}/output", job_run_id
        self._token: str | None = None

    def new_lines(self) -> list[LogLine]:
        return [line for text in self._new_messages() if (line := parse_line(text))]

    def _new_messages(self) -> Iterator[str]:
        for _ in range(_PAGES_PER_READ):
            position: dict[str, Any] = {"nextToken": self._token} if self._token else {}
            try:
                page = self._logs.get_log_events(
                    logGroupName=self._log_group, logStreamName=self._stream, startFromHead=True, **position
                )
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return
                raise
            yield from (event["message"] for event in page["events"])
            # The end of a stream answers with the token that it was asked with.
            asked, self._token = self._token, page["nextForwardToken"]
            if self._token == asked or not page["events"]:
                return


def parse_line(text: str) -> LogLine | None:
    """The line, or None for what Spark and Python print between them."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("message"), str):
        return None
    table = record.get("table")
    return LogLine(
        stage=str(record.get("stage", "")),
        table=str(table) if table else None,
        level=str(record.get("level", "info")),
        message=record["message"],
    )
