"""etl local start, stop, status, deploy and sql."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from etl_model.project import find_project
from operations import local
from operations.command import JsonOption, output, progress, readable_failures, write_document
from operations.query_output import write_table

app = typer.Typer(
    name="local",
    help="The local cloud: AWS, a PostgreSQL with sample data and a Snowflake on this machine.",
    no_args_is_help=True,
)


@app.command()
def start(
    scale: Annotated[
        float | None,
        typer.Option(
            min=0, help="Of TPC-H's sample data: 1 is 6 million line items, 0 none. Default: what is there, or 0.01."
        ),
    ] = None,
) -> None:
    """Start the local cloud; what is already running stays."""
    with readable_failures():
        local.start(find_project(Path.cwd()), scale=scale)
        output().print("the local cloud is running; deploy to it with: etl local deploy")


@app.command()
def stop() -> None:
    """Stop the local cloud; its data stays for the next start."""
    with readable_failures():
        local.stop(find_project(Path.cwd()))
        output().print("the local cloud is stopped")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show what of the local cloud is running, and where it answers."""
    with readable_failures(as_json=as_json):
        found = local.status(find_project(Path.cwd()))
        if as_json:
            write_document(found)
        else:
            output().print(local.status_table(found))


@app.command()
def deploy() -> None:
    """Deploy all pipelines to the local cloud: cdk bootstrap, cdk synth and cdk deploy."""
    with readable_failures():
        console = progress()
        log = local.deploy(find_project(Path.cwd()), say=lambda line: console.print(Text(line), soft_wrap=True))
        output().print(Text(f"deployed; the CDK's output is in {log}"), soft_wrap=True)


@app.command()
def sql(
    statements: Annotated[str, typer.Argument(metavar="SQL", help='Such as "CREATE TABLE …; INSERT INTO …".')],
    connection: Annotated[
        str | None, typer.Option(help="Not needed with a single database.", show_default=False)
    ] = None,
) -> None:
    """Run SQL in the embedded PostgreSQL as the owner of its tables, all or nothing."""
    with readable_failures():
        rows, done = local.execute_sql(find_project(Path.cwd()), statements, connection=connection)
        if rows is not None:
            write_table(rows, output())
        else:
            output().print(Text(done))
