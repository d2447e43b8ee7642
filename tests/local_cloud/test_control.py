import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from local_cloud import control
from local_cloud.postgres import EmbeddedPostgres
from tests.conftest import PROJECT, free_port
from tests.local_cloud.conftest import until


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A second copy of the project, with a space in its path and ports of its own."""
    copy = tmp_path / "my project"
    (copy / "environments").mkdir(parents=True)
    shutil.copytree(PROJECT / "local_cloud", copy / "local_cloud", ignore=shutil.ignore_patterns("__pycache__"))
    text = (PROJECT / "environments" / "local.yaml").read_text()
    for port in ("4666", "5466", "4667"):
        text = text.replace(port, str(free_port()))
    (copy / "environments" / "local.yaml").write_text(text)
    try:
        yield copy
    finally:
        control.stop(copy)


def test_start_is_repeatable_and_stop_leaves_no_process_but_the_data(project: Path) -> None:
    first = control.start(project, 0.01)
    assert first["running"]
    assert first["scale"] == "0.01"
    pids = {part["name"]: part["pid"] for part in first["parts"]}
    again = control.start(project, 0.01)
    assert {part["name"]: part["pid"] for part in again["parts"]} == pids
    login = control.database_login(project, "erp")
    secrets = boto3.client("secretsmanager", **_client_settings(project))
    assert json.loads(secrets.get_secret_value(SecretId="etl/local/erp")["SecretString"]) == login.secret()
    assert "PRIVATE KEY" in secrets.get_secret_value(SecretId="etl/local/snowflake")["SecretString"]

    control.stop(project)
    assert not control.status(project)["running"]
    assert not any(_is_alive(pid) for pid in pids.values())
    control.start(project, 0.01)
    assert control.status(project)["scale"] == "0.01"
    assert secrets.get_secret_value(SecretId="etl/local/erp")["Name"] == "etl/local/erp"


def test_the_source_login_sees_the_sessions_of_other_users(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres", port=free_port(), database="erp")
    hidden = "SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>'"
    try:
        with postgres.start().connect() as connection, connection.cursor() as cursor:
            cursor.execute(hidden)
            assert cursor.fetchone() == (0,)
    finally:
        postgres.stop()


def test_a_start_after_a_crash_recovers_from_stale_pids(project: Path) -> None:
    status = control.start(project, None)
    for part in status["parts"]:
        assert part["pid"]
        os.kill(part["pid"], signal.SIGKILL)
    until(lambda: [part["name"] for part in status["parts"] if _is_alive(part["pid"])], lambda alive: not alive)
    recovered = control.start(project, None)
    assert recovered["running"]
    assert not {part["pid"] for part in recovered["parts"]} & {part["pid"] for part in status["parts"]}


@pytest.mark.parametrize("setting", ["aws_endpoint_url", "connections.erp.port", "connections.snowflake.port"])
def test_a_port_in_use_is_told_with_the_setting_to_change_and_nothing_stays_running(
    project: Path, setting: str
) -> None:
    text = (project / "environments" / "local.yaml").read_text()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        ports = [part["address"].rpartition(":")[2].partition("/")[0] for part in control.status(project)["parts"]]
        names = ["aws_endpoint_url", "connections.snowflake.port", "connections.erp.port"]
        mine = dict(zip(names, ports, strict=True))[setting]
        (project / "environments" / "local.yaml").write_text(text.replace(mine, taken))
        with pytest.raises(control.LocalCloudError, match=rf"port {taken} .* change {setting} in environments/local"):
            control.start(project, None)
        assert not any(part["running"] for part in control.status(project)["parts"])


def _is_alive(pid: int | None) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _client_settings(project: Path) -> dict[str, Any]:
    environment = control.aws_environment(project)
    return {
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "region_name": environment["AWS_REGION"],
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
    }
