"""One worker process with its process group: start, hand over an assignment, wait, end without leaving anything."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from local_cloud.emulator.settings import Settings
from local_cloud.java import archive_file, java_home

Sink = Callable[[str, str], None]
"""Takes (stream, line): stream is "output" or "error", line has no line end."""

_WORKER = Path(__file__).with_name("session_worker.py")
_STATIC_SETTINGS = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.codegen.wholeStage": "false",
}
_JAVA_OPTIONS = "-Duser.timezone=UTC -XX:+UseParallelGC"
# Starting Spark and touching Iceberg costs 21 s of processor time with both compilers and 11 s with the first alone.
_QUICK_COMPILER = "-XX:TieredStopAtLevel=1"


class WorkerProcess:
    """A process that runs one script. `warm` starts Spark in it before the script is known."""

    def __init__(self, settings: Settings, *, warm: bool, niceness: int = 0, java_options: str | None = None) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="run-", dir=scratch_root(settings)))
        self.started_at = time.monotonic()
        self._sink: Sink = lambda _stream, _line: None
        # -P: this package's folder stays out of the script's sys.path.
        arguments = [sys.executable, "-u", "-P", str(_WORKER), *(["--warm"] if warm else [])]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=job_environment(settings, scratch=self.scratch, java_options=java_options),
            cwd=self.scratch,
            start_new_session=True,
        )
        if niceness:
            with suppress(OSError):
                os.setpriority(os.PRIO_PGRP, self._process.pid, niceness)
        self._readers = [self._pump("output", self._process.stdout), self._pump("error", self._process.stderr)]

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def assign(self, order: dict[str, Any], sink: Sink) -> bool:
        """Hand over the script; False when the process has died before it could take one."""
        self._sink = sink
        with suppress(OSError):  # raising the priority again needs a privilege that root has
            os.setpriority(os.PRIO_PGRP, self._process.pid, 0)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def dismiss(self) -> None:
        """Let it end in its own time without a script."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def has_processes(self) -> bool:
        """Whether anything of it still runs, Java included."""
        return self._process.poll() is None or bool(_processes_of_session(self._process.pid))

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None when the process still runs after `seconds`."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Kill what is left of the process group and its session, take the last lines, remove the scratch folder."""
        for pid in _processes_of_session(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=5)
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _pump(self, stream: str, pipe: IO[bytes] | None) -> threading.Thread:
        assert pipe is not None

        def read() -> None:
            with pipe:
                for line in pipe:
                    self._sink(stream, line.decode("utf-8", errors="replace").rstrip("\r\n"))

        thread = threading.Thread(target=read, daemon=True, name=f"log-{stream}-{self._process.pid}")
        thread.start()
        return thread


def scratch_root(settings: Settings) -> Path:
    """Short and without spaces, whatever the project's path: Java options and native libraries want it so."""
    root = Path(tempfile.gettempdir()) / f"etl-local-{os.getuid()}-{settings.port}"
    root.mkdir(parents=True, exist_ok=True)
    return root


def job_environment(settings: Settings, *, scratch: Path, java_options: str | None = None) -> dict[str, str]:
    """What a job process sees: AWS by the standard variables, Java and Spark's static settings, no one's profile."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "SPARK_", "PY4J"))
    }
    static = {
        **_STATIC_SETTINGS,
        "spark.driver.extraJavaOptions": " ".join([_JAVA_OPTIONS, *_optional_java_options(settings, java_options)]),
        "spark.driver.extraClassPath": f"{settings.jars}/*",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
    }
    submit = ["--master", "local[2]", "--driver-memory", "2g"]
    for name, value in static.items():
        submit += ["--conf", f"{name}={value}"]
    return {
        **kept,
        # What a job leaves goes with its scratch folder.
        "TMPDIR": str(scratch),
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "JAVA_HOME": str(java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"{shlex.join(submit)} pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
        "ETL_SCRATCH": str(scratch),
    }


def _optional_java_options(settings: Settings, given: str | None) -> list[str]:
    options = [] if settings.full_compiler else [_QUICK_COMPILER]
    if given is not None:
        return [*options, given]
    archive = archive_file(settings.project)
    return [*options, f'-XX:SharedArchiveFile="{archive}"'] if archive.is_file() else options


def _processes_of_session(session: int) -> list[int]:
    """Processes of a session, also those that left its process group, as Spark's Python workers do. Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # pid (name) state ppid pgrp session ...; a name may hold spaces and parentheses
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
    return found
