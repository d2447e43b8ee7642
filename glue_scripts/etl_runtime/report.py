"""What a stage tells about itself: one JSON document per run and stage in the logs bucket, also when it fails."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from etl_model.names import Names
from etl_runtime.errors import EtlError, EtlErrors


@dataclass
class StageReport:
    """Collected while the stage works; `write` puts it at s3://LOGS/runs/PIPELINE/RUN/STAGE.json."""

    environment: str
    pipeline: str
    run_id: str
    stage: str
    job_run_id: str
    started: float = field(default_factory=time.time)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    comparison: list[dict[str, Any]] = field(default_factory=list)

    def add_error(self, error: BaseException) -> None:
        if isinstance(error, EtlErrors):
            for one in error.errors:
                self.add_error(one)
        elif isinstance(error, EtlError):
            self.errors.append({"where": error.where, "what": error.what, "way_out": error.way_out})
        else:
            text = str(error).strip().splitlines()
            self.errors.append(
                {
                    "where": f"{self.pipeline} {self.stage}",
                    "what": f"{type(error).__name__}: {text[0][:500] if text else ''}",
                    "way_out": "The job's log has the full trace; `etl resume` continues the run once the cause is gone",
                }
            )

    def document(self) -> dict[str, Any]:
        finished = time.time()
        return {
            "environment": self.environment,
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "stage": self.stage,
            "job_run_id": self.job_run_id,
            "status": "failed" if self.errors else "succeeded",
            "started_at": _iso(self.started),
            "finished_at": _iso(finished),
            "seconds": round(finished - self.started, 3),
            "tables": self.tables,
            "errors": self.errors,
            "checks": self.checks,
            "comparison": self.comparison,
        }

    def write(self, s3: Any, names: Names) -> None:
        key = f"{names.run_prefix(self.pipeline, self.run_id)}/{self.stage}.json"
        body = json.dumps(self.document(), default=str, indent=1).encode()
        s3.put_object(Bucket=names.bucket("logs"), Key=key, Body=body, ContentType="application/json")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
