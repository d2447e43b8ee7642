"""Java's class data archive for Spark: classes of Spark and Iceberg, parsed and verified once instead of at each start.

Optional: `python -m local_cloud.java_archive` makes it in about half a minute (180 MB in .cache/java), and the emulator
uses it when it is there. Measured on 2 cores: a Spark session that has touched Iceberg takes 6 instead of 11 seconds of
processor time. Java ignores an archive that does not fit, so it cannot make a job fail.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local_cloud.emulator.settings import Settings
from local_cloud.emulator.worker_process import WorkerProcess, scratch_root
from local_cloud.java import archive_file, java_home

_SECONDS = 300


class ArchiveError(RuntimeError):
    """Java made no archive; everything works without it, only slower."""


def ensure_archive(project: Path) -> Path:
    """The archive that fits this project's jars, made when it is missing. Raises ArchiveError."""
    target = archive_file(project)
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # The archive names the one that it builds on by its path, so that one is made where it stays.
    base = target.with_suffix(".base")
    scratch = Path(tempfile.mkdtemp(prefix="etl-java-"))
    try:
        dump = [str(java_home() / "bin" / "java"), "-Xshare:dump", f"-XX:SharedArchiveFile={base}"]
        subprocess.run(dump, check=True, capture_output=True, timeout=_SECONDS)
        made = scratch / "spark.jsa"
        _run_spark_once(project, scratch, f'-XX:SharedArchiveFile="{base}" -XX:ArchiveClassesAtExit={made}')
        if not made.is_file():
            raise ArchiveError("Java wrote no class data archive")
        partial = target.with_suffix(".partial")
        shutil.copyfile(made, partial)
        partial.replace(target)
        return target
    except (OSError, subprocess.SubprocessError) as error:
        raise ArchiveError(f"Java made no class data archive: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_spark_once(project: Path, scratch: Path, options: str) -> None:
    settings = Settings(port=9, state=scratch / "state", project=project)
    worker = WorkerProcess(settings, warm=True, java_options=options)
    try:
        worker.dismiss()
        deadline = time.monotonic() + _SECONDS
        while worker.has_processes():
            if time.monotonic() > deadline:
                raise ArchiveError(f"Java was not done after {_SECONDS} s")
            time.sleep(0.2)
    finally:
        worker.end()
        shutil.rmtree(scratch_root(settings), ignore_errors=True)


if __name__ == "__main__":
    sys.stdout.write(f"{ensure_archive(Path.cwd())}\n")
