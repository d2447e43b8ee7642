"""The process of one job run. Started by the Glue runner, never imported by the emulator.

It reads one assignment (a line of JSON) from its standard input, runs the script as `__main__` and ends as a plain
`python script.py` would. With `--warm` it first starts Spark with its static settings and touches Iceberg, so that the
script's `SparkSession.builder.getOrCreate()` finds them ready.

Assignment: {"script": path, "arguments": [...], "environment": {name: value}, "path": [sys.path entries, first wins],
"folder": working directory, "report": file that receives the error's last line}.

When the emulator ends, standard input ends, and this process takes its whole process group with it.
"""

import json
import os
import runpy
import signal
import sys
import threading
import traceback
import types
from typing import Any

_LONGEST_ERROR = 1000


def main() -> None:
    orders = _keep_standard_input_for_orders()
    if "--warm" in sys.argv:
        _warm_up()
    line = _read_line(orders)
    if not line:
        os._exit(0)
    threading.Thread(target=_end_with_the_emulator, args=(orders,), daemon=True).start()
    _run(json.loads(line))


def _keep_standard_input_for_orders() -> int:
    """The script gets an empty standard input, as on Glue."""
    orders = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def _read_line(orders: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(orders, 65536)
        if not piece:
            return b""
        line += piece
    return bytes(line)


def _end_with_the_emulator(orders: int) -> None:
    while os.read(orders, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _warm_up() -> None:
    # By its file: nothing of the local cloud is importable in a job that is not so in production.
    runpy.run_path(os.path.join(os.path.dirname(__file__), "warm_up.py"))["warm_up"]()


def _run(order: dict[str, Any]) -> None:
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    script: str = order["script"]
    sys.argv = [script, *order["arguments"]]
    sys.path[:0] = [os.path.dirname(script), *order["path"]]
    _give_spark_the_path(order["path"])
    module = types.ModuleType("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    try:
        with open(script, "rb") as stream:
            code = compile(stream.read(), script, "exec")
        exec(code, module.__dict__)
    except SystemExit as end:
        if end.code not in (None, 0):
            _report(order["report"], f"SystemExit: {end.code}")
        raise
    except BaseException as error:
        # Without this frame the traceback is that of a plain `python script.py`.
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(error)
        _report(order["report"], f"{type(error).__name__}: {error}")
        sys.exit(1)


def _give_spark_the_path(path: list[str]) -> None:
    """For Python workers: of a session started before the path was known, or of one that the script starts."""
    os.environ["PYTHONPATH"] = os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])])
    pyspark = sys.modules.get("pyspark")
    context = pyspark.SparkContext._active_spark_context if pyspark else None
    if context is not None:
        # Workers insert each of these at the front, so the last comes first. Another PYTHONPATH would do as well, but
        # Spark starts new worker processes for it, and those of the warm-up would have been for nothing (2 s).
        context._python_includes.extend(reversed(path))


def _report(file: str, error: str) -> None:
    """The error without Java's stack trace, at most 1000 characters."""
    kept: list[str] = []
    for line in error.strip().splitlines():
        if line.lstrip().startswith(("at ", "... ", "JVM stacktrace:")):
            break
        kept.append(line.rstrip())
    with open(file, "w", encoding="utf-8") as stream:
        stream.write("\n".join(kept)[:_LONGEST_ERROR])


if __name__ == "__main__":
    main()
