"""The `etl` command: every command by its name."""

import typer

from operations import local_commands, query_command, run_commands

app = typer.Typer(
    name="etl",
    help="Run pipelines and look at what they did, on AWS and in the local cloud alike.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run_commands.run)
app.command()(run_commands.status)
app.command()(run_commands.follow)
app.command()(run_commands.resume)
app.command()(run_commands.stop)
app.command()(query_command.query)
app.add_typer(local_commands.app, name="local")


def main() -> None:
    app(prog_name="etl")
