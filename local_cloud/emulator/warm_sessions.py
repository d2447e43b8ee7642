"""A few worker processes with Spark already started, so that a job run does not wait for it.

They are started at low priority and only when runs are to be expected: a job was just deployed, a workflow is running,
or somebody asked. Each takes one script and ends; unused ones end after a while.
"""

import threading
import time

from local_cloud.emulator.settings import Settings
from local_cloud.emulator.worker_process import WorkerProcess


class WarmSessions:
    """The pool. Thread-safe; `expect_runs` is cheap and may be called often."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ready: list[WorkerProcess] = []
        self._closed = False
        self._wanted_until = 0.0
        self._timer: threading.Timer | None = None

    def expect_runs(self) -> None:
        """Fill the pool up to its size."""
        with self._lock:
            if self._closed:
                return
            self._ready = [worker for worker in self._ready if worker.is_alive()]
            self._wanted_until = time.monotonic() + self._settings.warm_idle_seconds
            while len(self._ready) < self._settings.warm_sessions:
                self._ready.append(WorkerProcess(self._settings, warm=True, niceness=self._settings.warm_niceness))
            self._expire_later()

    def take(self) -> WorkerProcess | None:
        """The session that was started first, still starting or not, or None when there is none."""
        with self._lock:
            while self._ready:
                worker = self._ready.pop(0)
                if worker.is_alive():
                    return worker
                worker.end()
            return None

    def count(self) -> int:
        with self._lock:
            return len(self._ready)

    def close(self) -> None:
        """End all of them, for good."""
        with self._lock:
            self._closed = True
            if self._timer:
                self._timer.cancel()
            self._end_all()

    def _expire_later(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(self._settings.warm_idle_seconds + 1, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if time.monotonic() >= self._wanted_until:
                self._end_all()

    def _end_all(self) -> None:
        for worker in self._ready:
            worker.end()
        self._ready.clear()
