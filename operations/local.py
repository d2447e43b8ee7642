"""The local cloud behind `etl local`: optional, as a deployment to AWS needs none of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg2
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from etl_model.environment import LOOPBACK, Environment, PostgreSQLConnection
from etl_model.project import check_connections, load_pipelines
from operations.cdk import Say, deploy_local
from operations.database import connect
from operations.failures import failure
from operations.query import Column, QueryResult
from operations.target import Target, open_target, read_environment

ENVIRONMENT = "local"
DEFAULT_SCALE = 0.01
_NOT_RUNNING = "Start it with: etl local start"


def control() -> ModuleType:
    """local_cloud.control; OperationError where the local cloud's packages are not installed."""
    try:
        return import_module("local_cloud.control")
    except ImportError as error:
        way_out = "Install it with: make setup (or pip install -r requirements-dev.txt)"
        raise failure("local cloud", f"it is not installed here ({error})", way_out) from error


def start(project: Path, *, scale: float | None) -> None:
    """Starts what does not run yet, with TPC-H's sample data at `scale`; 0 loads none, None keeps what is loaded."""
    with _explained():
        if scale is None:
            # Another scale would replace the sample data, and changes that somebody made to it.
            started = control().start(project, None)
            scale = 0 if started["scale"] else DEFAULT_SCALE
        control().start(project, scale or None)


def stop(project: Path) -> None:
    """Stops everything; the data stays."""
    with _explained():
        control().stop(project)


def status(project: Path) -> dict[str, Any]:
    """{"running", "parts": [{"name", "running", "address", "pid", "log"}], "scale", "folder"}."""
    with _explained():
        return dict(control().status(project))


def status_table(found: dict[str, Any]) -> RenderableType:
    """The servers of `status`, and where each answers."""
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for heading in ("server", "state", "address"):
        drawn.add_column(heading, overflow="fold")
    for part in found["parts"]:
        state = Text("running", style="green") if part["running"] else Text("stopped", style="dim")
        drawn.add_row(Text(part["name"]), state, Text(part["address"]))
    data = f"sample data: TPC-H at scale {found['scale']}; " if found["scale"] else ""
    return Group(drawn, Text(f"{data}everything lies in {found['folder']}", style="dim"))


def local_target(project: Path) -> Target:
    """The target `local`; OperationError when its environment file points at AWS, which these commands never touch."""
    target = open_target(project, ENVIRONMENT)
    if not target.is_local:
        raise failure(
            f"environments/{ENVIRONMENT}.yaml", "it has no aws_endpoint_url", "Set it to http://127.0.0.1:PORT"
        )
    return target


def deploy(project: Path, *, say: Say) -> Path:
    """Deploys every pipeline to the local cloud with the CDK CLI; returns the log of what it printed."""
    # Imported here: it belongs to the CDK app, which the other commands do without.
    from operations.wheels import build_needed

    target = local_target(project)
    # Before the CLI starts: a wrong file is told in a second, all at once, and without the CLI's words around it.
    check_connections(load_pipelines(target.pipelines_folder).values(), target.environment, target.pipelines_folder)
    target.s3.list_buckets()  # when nothing answers, "start it" is a better message than the CLI's
    variables = control().aws_environment(project)
    build_needed(project)
    log = project / ".local" / "logs" / "deploy.log"
    deploy_local(project, target.environment, variables=variables, log=log, say=say)
    return log


def execute_sql(project: Path, sql: str, *, connection: str | None) -> tuple[QueryResult | None, str]:
    """Runs statements in the embedded PostgreSQL as the owner of its tables, in one transaction.

    Returns the rows of the last statement, or None where it has none, and PostgreSQL's word for what it did.
    """
    name, database = _database(read_environment(project, ENVIRONMENT), connection)
    with _explained():
        login = control().database_login(project, name)
    session = connect(database, name=name, user=login.user, password=login.password, way_out=_NOT_RUNNING)
    try:
        with session, session.cursor() as cursor:
            cursor.execute(sql)
            done: str = cursor.statusmessage or ""
            if cursor.description is None:
                return None, done
            columns = tuple(Column(name=column.name, type="") for column in cursor.description)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return QueryResult(columns=columns, rows=iter(rows)), done
    except psycopg2.Error as error:
        what = " ".join((error.diag.message_primary or str(error)).split()).rstrip(".")
        raise failure(f"connection {name}", what, "Nothing was changed; correct the statement") from error
    finally:
        session.close()


@contextmanager
def _explained() -> Iterator[None]:
    """The local cloud's own errors are RuntimeErrors whose message says why and the way out."""
    try:
        yield
    except RuntimeError as error:
        raise failure("local cloud", str(error), "") from error


def _database(environment: Environment, name: str | None) -> tuple[str, PostgreSQLConnection]:
    known = {
        key: found
        for key, found in environment.connections.items()
        # Only what is embedded: the owner's statements must never reach a database elsewhere.
        if isinstance(found, PostgreSQLConnection) and found.host in LOOPBACK
    }
    if name is None and len(known) == 1:
        return next(iter(known.items()))
    if name not in known:
        what = f"there is no embedded database {name!r}" if name else f"there are {len(known)} embedded databases"
        raise failure("--connection", what, f"Use one of: {', '.join(known) or 'none'}")
    return name, known[name]
