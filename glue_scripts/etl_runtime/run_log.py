"""One JSON object per line on standard output: what a person follows live and what log queries search."""

import json
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, TextIO

_LOCK = threading.Lock()


@dataclass(frozen=True)
class RunLog:
    """Lines of one stage of one run. Never pass a secret or a row's values."""

    stage: str
    pipeline: str
    run_id: str
    stream: TextIO = sys.stdout

    def line(self, event: str, message: str, *, level: str = "info", **fields: Any) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        record = {
            "time": stamp,
            "level": level,
            "event": event,
            "stage": self.stage,
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            **fields,
            "message": message,
        }
        with _LOCK:
            self.stream.write(json.dumps(record, default=str) + "\n")
            self.stream.flush()
