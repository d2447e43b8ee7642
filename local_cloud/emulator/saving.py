"""Keeps the emulator's state on disk while it runs: ministack itself saves only on an orderly end.

Objects of S3 are files from the moment they are put; catalog, stacks, runs and the rest follow within seconds.
"""

import threading
import time
from typing import Any

from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.job_runs import ACTIVE

_SAVE_SECONDS = 5.0
_READS = ("Get", "List", "Describe", "Batch", "Filter", "Head", "Test")


class Saving:
    """Wraps the ASGI application: a request that may have changed something marks the state as unsaved."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._unsaved = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._save_when_changed, daemon=True, name="saving")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and _may_change(scope):
            self._unsaved.set()
        await self._app(scope, receive, send)

    def changed(self) -> None:
        self._unsaved.set()

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(timeout=30)

    def _save_when_changed(self) -> None:
        while not self._ended.wait(_SAVE_SECONDS):
            if self._unsaved.is_set():
                self._unsaved.clear()
                aws.save_everything()


def _may_change(scope: Any) -> bool:
    headers = dict(scope["headers"])
    action = headers.get(b"x-amz-target", b"").rpartition(b".")[2].decode()
    if action:
        return not str(action).startswith(_READS)
    return scope["method"] not in ("GET", "HEAD")


def settle_interrupted_runs() -> None:
    """Runs that the last stop interrupted cannot go on: their processes ended with the emulator."""
    now = round(time.time(), 3)
    for run in aws.all_runs_of_every_account():
        if run.get("JobRunState") in ACTIVE:
            run.update({"JobRunState": "FAILED", "CompletedOn": now, "LastModifiedOn": now})
            run["ErrorMessage"] = "The local cloud was stopped while this run was under way"
        if run.get("Status") in ("RUNNING", "STOPPING"):
            run.update({"Status": "STOPPED", "CompletedOn": now, "_open": 0})
