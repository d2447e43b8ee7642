"""A copy of the project on ports of its own, in a folder with a space in its name, with its own local cloud."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_cloud import control
from tests.conftest import PROJECT, free_port

COPIED = ("app.py", "cdk.json", "package.json", "constructs", "docs", "environments", "glue_scripts", "local_cloud")
COPIED += ("operations", "pipelines", "stacks", "tests/end_to_end")
COMMAND_SECONDS = 400


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        return json.loads(self.output)

    def __str__(self) -> str:
        return f"exit code {self.exit_code}\n{self.output[-6000:]}\n{self.errors[-3000:]}"


@dataclass(frozen=True)
class LocalProject:
    """The copied project; commands run in it as a person would type them."""

    folder: Path

    def shell(self, command: str) -> Answer:
        return self._run(["bash", "-c", command])

    def etl(self, *arguments: str) -> Answer:
        return self._run([sys.executable, "-m", "operations", *arguments])

    def _run(self, command: list[str]) -> Answer:
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Answer(ran.returncode, ran.stdout, ran.stderr)

    def rows(self, sql: str, *, on: str, pipeline: str = "shop") -> list[list[Any]]:
        answer = self.etl("query", sql, "--on", on, "--pipeline", pipeline, "--json")
        assert answer.exit_code == 0, answer
        return [list(row.values()) if isinstance(row, dict) else row for row in answer.document["rows"]]

    def client(self, service: str) -> Any:
        aws = control.aws_environment(self.folder)
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=aws["AWS_ENDPOINT_URL"],
            region_name=aws["AWS_REGION"],
            aws_access_key_id=aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=aws["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def variables(self) -> dict[str, str]:
        """A person's environment: nothing of this test session's, and this copy's code before the installed one."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ETL_", "PYSPARK"))}
        sources = os.pathsep.join(str(self.folder / part) for part in ("", "constructs", "glue_scripts"))
        return {**kept, "PYTHONPATH": sources, "COLUMNS": "120"}


@pytest.fixture(scope="session")
def local_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    folder = tmp_path_factory.mktemp("end to end") / "my project"
    folder.mkdir()
    for name in COPIED:
        source, target = PROJECT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    # What set-up made is shared: the packages, the CDK CLI, Spark's jars and the jobs' wheels.
    for name in (".venv", "node_modules", ".cache"):
        (folder / name).symlink_to(PROJECT / name)
    if (PROJECT / "build").exists():
        shutil.copytree(PROJECT / "build", folder / "build")
    shutil.rmtree(folder / "pipelines" / "sales")
    pipeline = folder / "pipelines" / "shop"
    pipeline.mkdir()
    for file in (PROJECT / "tests" / "end_to_end" / "shop").iterdir():
        shutil.copy(file, pipeline)
    environment = folder / "environments" / "local.yaml"
    text = environment.read_text()
    for port in ("4666", "5466", "4667"):
        text = text.replace(port, str(free_port()))
    environment.write_text(text)
    project = LocalProject(folder)
    started = project.etl("local", "start", "--scale", "0")
    assert started.exit_code == 0, started
    try:
        deployed = project.etl("local", "deploy")
        assert deployed.exit_code == 0, deployed
        yield project
    finally:
        project.etl("local", "stop")
