"""Serve the emulator on 127.0.0.1 until it is terminated: `python -m local_cloud.emulator --port P --state DIR`."""

import argparse
import shutil
from pathlib import Path
from typing import Any

from local_cloud.emulator.settings import Settings, prepare_environment


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="local_cloud.emulator", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="keeps everything between starts")
    parser.add_argument("--project", type=Path, default=Path.cwd(), help="holds .cache/jars and .cache/wheels")
    parser.add_argument("--account", default="000000000000")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--warm-sessions", type=int, default=2, help="Spark sessions started ahead; 0 for none")
    parser.add_argument("--warm-idle-seconds", type=int, default=900, help="after which unused ones end")
    parser.add_argument("--warm-niceness", type=int, default=10, help="their priority while they start; 0 is normal")
    parser.add_argument("--seconds-per-minute", type=float, default=60.0, help="shortens job timeouts in tests")
    parser.add_argument("--full-compiler", action="store_true", help="Java's C2 too: for jobs of minutes, not seconds")
    given: Any = parser.parse_args(arguments)
    settings = Settings(
        port=given.port,
        state=given.state.resolve(),
        project=given.project.resolve(),
        account=given.account,
        region=given.region,
        warm_sessions=given.warm_sessions,
        warm_idle_seconds=given.warm_idle_seconds,
        warm_niceness=given.warm_niceness,
        full_compiler=given.full_compiler,
    )
    prepare_environment(settings)
    # Only now: ministack reads the environment when it is imported.
    from local_cloud.emulator.serving import serve
    from local_cloud.emulator.worker_process import scratch_root

    try:
        serve(settings, seconds_per_minute=given.seconds_per_minute)
    finally:
        shutil.rmtree(scratch_root(settings), ignore_errors=True)


if __name__ == "__main__":
    main()
