"""What all commands share: their options, and how a failure ends one of them: short, readable, never a traceback."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from etl_model.problems import ConfigurationError, Problem
from etl_model.project import find_project
from operations.failures import EXIT_INTERRUPTED, EXIT_USAGE, OperationError, explain
from operations.run_document import problem_documents
from operations.run_tables import problem_view
from operations.target import Target, open_target

EnvironmentOption = Annotated[
    str, typer.Option("--environment", "-e", envvar="ETL_ENVIRONMENT", help="A file of environments/, without .yaml.")
]
PrefixOption = Annotated[
    str, typer.Option("--prefix", envvar="ETL_PREFIX", help="Of a feature branch's own deployment.", show_default=False)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, and nothing else there.")
]
PipelineArgument = Annotated[str, typer.Argument(metavar="PIPELINE", help="A folder of pipelines/.")]


def target_of(environment: str, prefix: str) -> Target:
    """The target of a command given in the current folder."""
    return open_target(find_project(Path.cwd()), environment, prefix=prefix)


def output() -> Console:
    """Where results go."""
    return Console(highlight=False)


def progress() -> Console:
    """Where everything goes that is not the result, so that a pipe gets the result alone."""
    return Console(stderr=True, highlight=False)


def write_document(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


@contextmanager
def readable_failures(*, as_json: bool = False) -> Iterator[None]:
    """Ends the command with the failure's exit code and words; ETL_DEBUG=1 shows the traceback instead."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        progress().print("interrupted")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # `etl … | head`: the reader has what it wanted, and Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except Exception as error:
        if os.environ.get("ETL_DEBUG") == "1":
            raise
        problems, exit_code = _problems(error)
        if as_json:
            write_document({"state": "error", "exit_code": exit_code, "errors": problem_documents(problems)})
        progress().print(problem_view(problems))
        raise typer.Exit(exit_code) from error


def _problems(error: Exception) -> tuple[tuple[Problem, ...], int]:
    if isinstance(error, OperationError):
        return error.problems, error.exit_code
    if isinstance(error, ConfigurationError):
        return error.problems, EXIT_USAGE
    if isinstance(error, BotoCoreError | ClientError):
        return explain(error).problems, EXIT_USAGE
    what = f"{type(error).__name__}: {error}"
    return (Problem("etl", f"unexpected {what}", "ETL_DEBUG=1 shows where; please report it"),), EXIT_USAGE
