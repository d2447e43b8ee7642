"""docs/add-a-pipeline.md can be followed mechanically: its blocks are commands that exist and files that are valid."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from etl_model.project import check_connections, load_environment, load_pipeline
from operations.cli import app

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs" / "add-a-pipeline.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_every_block_is_a_command_or_a_file() -> None:
    fences = re.findall(r"^```(\w*)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert {fence for fence in fences if fence} == {"bash", "yaml"}


@pytest.mark.parametrize("block", blocks("bash"))
def test_each_command_exists_with_the_options_that_it_is_given(block: str) -> None:
    program, *arguments = shlex.split(block)
    assert program == ".venv/bin/etl"
    context = get_command(app).make_context("etl", list(arguments), resilient_parsing=False)
    while arguments:
        command = context.command
        resolve = getattr(command, "resolve_command", None)
        if resolve is None:
            break
        _, found, arguments = resolve(context, arguments)
        context = found.make_context(found.name, list(arguments), parent=context)


def test_the_pipeline_file_is_valid_in_the_local_environment(tmp_path: Path) -> None:
    [text] = blocks("yaml")
    match = re.match(r"# file: (pipelines/(\w+)/pipeline\.yaml)\n", text)
    assert match is not None
    file = tmp_path / match[1]
    file.parent.mkdir(parents=True)
    file.write_text(text)
    pipeline = load_pipeline(file)
    assert pipeline.name == match[2]
    check_connections([pipeline], load_environment(PROJECT / "environments" / "local.yaml"), tmp_path / "pipelines")
