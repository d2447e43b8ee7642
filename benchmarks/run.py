"""`make bench`: the same 3.0 M lineitem rows out of PostgreSQL four ways, in one run, to build/bench.json."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from local_cloud.postgres import EmbeddedPostgres
from local_cloud.tpch import load

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Measurement:
    """One way of reading the rows; peak_mib is the largest resident memory of its processes together."""

    name: str
    rows: int
    seconds: float
    peak_mib: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="0.5", help="TPC-H scale; 0.5 is 3.0 M lineitem rows")
    parser.add_argument("--port", type=int, default=5477)
    options = parser.parse_args()
    console = Console()
    folder = PROJECT / ".cache" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres(folder / "postgres", port=options.port, database="bench")
    console.print(f"PostgreSQL with TPC-H at scale {options.scale} …")
    login = server.start()
    try:
        load(login, options.scale)
        # Once through, so that the first one measured does not pay for the disk.
        with login.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from lineitem")
            rows = int(cursor.fetchone()[0])
        results = [
            _measured(console, name, rows, [sys.executable, "-m", "benchmarks.ways", name, str(options.port)])
            for name in ("copy_to_null", "extract", "spark_jdbc_1", "spark_jdbc_8")
        ]
    finally:
        server.stop()
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    console.print(_table(results))
    console.print("written to build/bench.json")
    return 0


def _measured(console: Console, name: str, rows: int, command: list[str]) -> Measurement:
    console.print(f"{name} …")
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.1)
        output.seek(0)
        lines = output.read().strip().splitlines()
    if process.returncode or not lines:
        sys.exit(f"{name} failed with exit code {process.returncode}; run `{' '.join(command)}` to see why")
    result = json.loads(lines[-1])
    if result["rows"] != rows:
        sys.exit(f"{name} read {result['rows']} rows, and the table has {rows}")
    return Measurement(name=name, rows=rows, seconds=round(result["seconds"], 2), peak_mib=peak >> 20)


def _resident(pid: int) -> int:
    """Bytes of a process and of all that it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        with suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total


def _table(results: list[Measurement]) -> Table:
    table = Table(
        "", "rows", "seconds", "rows/s", "peak MiB", "x COPY", title="lineitem out of PostgreSQL, 2 at a time"
    )
    base = results[0].seconds
    for result in results:
        table.add_row(
            result.name,
            f"{result.rows:,}",
            f"{result.seconds:.1f}",
            f"{result.rows / result.seconds:,.0f}",
            f"{result.peak_mib:,}",
            f"{result.seconds / base:.2f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
