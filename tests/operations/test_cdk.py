"""What `etl local deploy` tells of the CDK CLI's output, and how it says that a step failed."""

import os
from pathlib import Path

import pytest

from operations.cdk import deploy_local, log_tail, stack_progress
from operations.failures import OperationError
from operations.target import read_environment


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("local/storage (etl-local-storage): deploying... [1/5]", "etl-local-storage: deploying [1/5]"),
        ("\x1b[1metl-local-network\x1b[22m: deploying... [2/5]", "etl-local-network: deploying [2/5]"),
        (" ✅  local/storage (etl-local-storage)", "etl-local-storage: deployed"),
        (" ✅  local/storage (etl-local-storage) (no changes)", "etl-local-storage: no changes"),
        (" ✅  etl-local-network (no changes)", "etl-local-network: no changes"),
        (" ❌  local/sales (etl-local-sales) failed: Error: ROLLBACK_COMPLETE", "etl-local-sales: failed"),
        ("etl-local-storage | 3/9 | 8:00:01 PM | CREATE_COMPLETE | AWS::S3::Bucket | Raw", None),
        ("etl-local-storage: creating CloudFormation changeset...", None),
        ("✨  Synthesis time: 8s", None),
        ("✨  Deployment time: 8s", None),
        ("", None),
    ],
)
def test_only_a_stack_as_a_whole_is_told(line: str, told: str | None) -> None:
    assert stack_progress(line) == told


def test_the_end_of_a_log_is_its_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "deploy.log"
    log.write_text("\n".join([*(f"line {number}" for number in range(50)), "", "\x1b[31mError: no\x1b[39m", ""]))
    assert log_tail(log).splitlines()[-2:] == ["    line 49", "    Error: no"]
    assert len(log_tail(log).splitlines()) == 20


def test_the_end_of_a_log_leaves_out_what_went_well(tmp_path: Path) -> None:
    log = tmp_path / "deploy.log"
    log.write_text(
        "etl-local-sales: success: Published template\n"
        "etl-local-sales | 1/3 | 9:27:17 PM | CREATE_COMPLETE      | AWS::Glue::Connection | a\n"
        "etl-local-sales | 2/3 | 9:27:18 PM | CREATE_FAILED        | AWS::Glue::Job        | b no such role\n"
    )
    assert log_tail(log) == (
        "    etl-local-sales | 2/3 | 9:27:18 PM | CREATE_FAILED        | AWS::Glue::Job        | b no such role"
    )


def test_a_missing_cdk_cli_says_how_to_install_it(project: Path) -> None:
    environment = read_environment(project, "local")
    with pytest.raises(OperationError, match="make setup"):
        deploy_local(project, environment, variables={}, log=project / "deploy.log")


def test_a_failing_step_ends_the_deploy_with_the_end_of_its_output(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    _cli(project, monkeypatch, 'case "$1" in synth) echo "Error: wrong key"; exit 1;; bootstrap) sleep 60;; esac')
    with pytest.raises(OperationError, match="cdk synth: it ended with exit code 1:\n    Error: wrong key"):
        deploy_local(
            project, read_environment(project, "local"), variables={}, log=project / "deploy.log", say=said.append
        )
    assert said == ["synthesizing and bootstrapping"]


def test_a_deploy_runs_the_three_steps_with_the_local_clouds_variables_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    said: list[str] = []
    _cli(
        project,
        monkeypatch,
        'echo "$@" "$AWS_PROFILE $AWS_REGION"; [ "$1" = deploy ] && echo " ✅  etl-local-storage"; true',
    )
    variables = {"AWS_REGION": "us-east-1"}
    log = project / "logs" / "deploy.log"
    deploy_local(project, read_environment(project, "local"), variables=variables, log=log, say=said.append)
    options = "--no-version-reporting --no-notices  us-east-1"
    assert log.with_name("bootstrap.log").read_text() == f"bootstrap aws://000000000000/eu-west-1 {options}\n"
    assert log.read_text().splitlines() == [
        f"synth --quiet -c environment=local {options}",
        f"deploy --all --app cdk.out/assembly-local --require-approval never --progress events {options}",
        " ✅  etl-local-storage",
    ]
    assert said == ["synthesizing and bootstrapping", "etl-local-storage: deployed"]


def _cli(project: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A Node that runs the CDK CLI of node_modules/.bin as what it is here: a shell script."""
    binaries = project / "bin"
    binaries.mkdir()
    (binaries / "node").write_text('#!/bin/sh\nexec sh "$@"\n')
    (project / "node_modules" / ".bin").mkdir(parents=True)
    (project / "node_modules" / ".bin" / "cdk").write_text(script)
    os.chmod(binaries / "node", 0o755)
    monkeypatch.setattr("sys.executable", str(binaries / "python"))
