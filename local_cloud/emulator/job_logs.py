"""A run's output as CloudWatch log events while it runs, and as one file to read afterwards."""

import threading
import time
from pathlib import Path
from types import TracebackType

from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.ministack_access import Json

_FLUSH_SECONDS = 0.2
_LONGEST_EVENT = 200_000  # CloudWatch takes at most 256 KiB an event


class JobLog:
    """Groups `{prefix}/output` and `{prefix}/error`, the run's id as the stream; a context manager."""

    def __init__(self, *, prefix: str, run_id: str, file: Path) -> None:
        self._groups = {"output": f"{prefix}/output", "error": f"{prefix}/error"}
        self._run_id = run_id
        self._file = file
        self._lock = threading.Lock()
        self._pending: dict[str, list[Json]] = {"output": [], "error": []}
        self._ended = threading.Event()
        self._last_error = ""

    def __enter__(self) -> "JobLog":
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._file.open("w", encoding="utf-8", buffering=1)
        for group in self._groups.values():
            aws.open_log_stream(group, self._run_id)
        self._flusher = aws.in_scope(self._flush_until_ended, name=f"log-flush-{self._run_id[:12]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._flusher.join()
        self._stream.close()

    def write(self, stream: str, line: str) -> None:
        """Add one line to "output" or "error"; thread-safe, also after the end, when it is dropped."""
        event = {"timestamp": int(time.time() * 1000), "message": line[:_LONGEST_EVENT] or " "}
        with self._lock:
            if self._stream.closed:
                return
            self._pending[stream].append(event)
            self._stream.write(line + "\n")
            if stream == "error" and line.strip():
                self._last_error = line.strip()

    @property
    def last_error_line(self) -> str:
        """The last line on the error stream, empty when there was none."""
        return self._last_error

    def _flush_until_ended(self) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        for stream, group in self._groups.items():
            with self._lock:
                events, self._pending[stream] = self._pending[stream], []
            if events:
                aws.put_log_events(group, self._run_id, events)
