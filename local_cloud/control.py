"""Start, stop and look at the local cloud of a project folder; `etl local` is a thin layer over these functions.

Everything lives in <project>/.local: data of the servers, their logs (logs/), pid files (pids/), logs of job runs
(runs/) and e-mails (outbox/). Ports and secret names come from environments/local.yaml.
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from etl_model.environment import LOOPBACK, Environment, PostgreSQLConnection, SnowflakeConnection
from etl_model.project import load_environment
from local_cloud import processes, snowflake, tpch
from local_cloud.postgres import EmbeddedPostgres, PostgresError, PostgresLogin
from local_cloud.processes import Server, ServerError

ENVIRONMENT = "local"
_CREDENTIAL = "test"


class LocalCloudError(RuntimeError):
    """The local cloud cannot be started; the message says why and the way out."""


class PartStatus(TypedDict):
    """One server: where it answers, whether it runs, its process and its log."""

    name: str
    running: bool
    address: str
    pid: int | None
    log: str


class Status(TypedDict):
    """What runs; `scale` is that of the sample data in the first database, None while it is not running."""

    running: bool
    parts: list[PartStatus]
    scale: str | None
    folder: str


def start(project: Path, scale: float | str | None) -> Status:
    """Start what does not run yet, load TPC-H at `scale` (0 or None: no data) and put the secrets in place.

    Raises LocalCloudError. What this call has started is stopped again when it fails or is interrupted.
    """
    cloud = _Cloud.of(project)
    with _alone(cloud.folder):
        before = {server.name for server in cloud.servers if processes.running_pid(server)}
        running_before = [database for database in cloud.databases if database.server.is_running()]
        try:
            _start_all(cloud, f"{float(scale):g}" if scale and float(scale) else None)
        except BaseException as error:
            for server in cloud.servers:
                if server.name not in before:
                    processes.stop(server)
            for database in cloud.databases:
                if database not in running_before:
                    with suppress(PostgresError):
                        database.server.stop()
            if isinstance(error, (ServerError, PostgresError, tpch.TpchError)):
                raise LocalCloudError(str(error)) from error
            raise
    return status(project)


def stop(project: Path) -> None:
    """Stop everything that runs; the data stays for the next start."""
    cloud = _Cloud.of(project)
    with _alone(cloud.folder), ThreadPoolExecutor() as pool:
        stopping = [pool.submit(processes.stop, server) for server in cloud.servers]
        stopping += [pool.submit(_stop_database, database) for database in cloud.databases]
        for future in stopping:
            future.result()


def status(project: Path) -> Status:
    """What runs and where it answers."""
    cloud = _Cloud.of(project)
    parts: list[PartStatus] = []
    for server in cloud.servers:
        pid = processes.running_pid(server)
        parts.append(_part(server.name, pid, server.address, server.log))
    for database in cloud.databases:
        address = f"postgresql://127.0.0.1:{database.port}/{database.names[0]}"
        parts.append(_part(f"postgresql {database.connection}", database.server.pid(), address, database.server.log))
    scale = None
    if cloud.databases and cloud.databases[0].server.is_running():
        scale = tpch.loaded_scale(cloud.databases[0].server.login())
    return {
        "running": all(part["running"] for part in parts),
        "parts": parts,
        "scale": scale,
        "folder": str(cloud.folder),
    }


def aws_environment(project: Path) -> dict[str, str]:
    """Variables with which an AWS SDK, the CDK app and the CDK CLI reach this project's emulator and nothing else."""
    cloud = _Cloud.of(project)
    home = cloud.folder / "cdk"
    home.mkdir(parents=True, exist_ok=True)
    region = cloud.environment.region
    return {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_ACCESS_KEY_ID": _CREDENTIAL,
        "AWS_SECRET_ACCESS_KEY": _CREDENTIAL,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        # Profiles and metadata of this machine must not be asked.
        "AWS_CONFIG_FILE": str(home / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DEFAULT_ACCOUNT": cloud.environment.account,
        "CDK_DEFAULT_REGION": region,
        # The CLI remembers accounts by access key: not in the user's home, where another cloud's "test" may lie.
        "CDK_HOME": str(home),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def database_login(project: Path, connection: str) -> PostgresLogin:
    """How to reach an embedded database by its connection's name. Raises LocalCloudError for an unknown one."""
    cloud = _Cloud.of(project)
    found = cloud.environment.connections.get(connection)
    for database in cloud.databases:
        if isinstance(found, PostgreSQLConnection) and found.port == database.port:
            return database.server.login(found.database)
    raise LocalCloudError(f"environments/local.yaml has no embedded PostgreSQL connection {connection!r}")


def warm_up(project: Path) -> None:
    """Ask for Spark sessions to be started ahead, since job runs are to come soon; returns at once."""
    processes.post(f"{_Cloud.of(project).endpoint}/_local_cloud/warm")


@dataclass(frozen=True)
class _Database:
    """One PostgreSQL cluster: connections on the same port share it."""

    connection: str
    port: int
    names: tuple[str, ...]
    server: EmbeddedPostgres


@dataclass(frozen=True)
class _Cloud:
    project: Path
    folder: Path
    environment: Environment
    endpoint: str
    servers: tuple[Server, ...]
    databases: tuple[_Database, ...]

    @staticmethod
    def of(project: Path) -> "_Cloud":
        project = project.resolve()
        environment = load_environment(project / "environments" / f"{ENVIRONMENT}.yaml")
        if environment.aws_endpoint_url is None:
            raise LocalCloudError(
                "environments/local.yaml: aws_endpoint_url is missing; set it to http://127.0.0.1:PORT"
            )
        folder = project / ".local"
        endpoint = environment.aws_endpoint_url
        servers = (_emulator(project, folder, environment), *_snowflakes(project, folder, environment))
        return _Cloud(project, folder, environment, endpoint, servers, _databases(folder, environment))


def _emulator(project: Path, folder: Path, environment: Environment) -> Server:
    port = urlsplit(str(environment.aws_endpoint_url)).port
    assert port is not None  # the model asks for it
    command = [sys.executable, "-m", "local_cloud.emulator", "--port", str(port), "--state", str(folder / "emulator")]
    command += ["--project", str(project), "--account", environment.account, "--region", environment.region]
    return Server("emulator", tuple(command), port, "/_ministack/health", "aws_endpoint_url", folder, project)


def _snowflakes(project: Path, folder: Path, environment: Environment) -> Iterator[Server]:
    for name, connection in environment.connections.items():
        if isinstance(connection, SnowflakeConnection) and connection.host in LOOPBACK:
            # Named by the connection, so that a second warehouse keeps its own databases.
            command = [sys.executable, "-m", "local_cloud.snowflake_server", "--port", str(connection.port)]
            command += ["--state", str(folder / name), "--s3-endpoint", str(environment.aws_endpoint_url)]
            command += ["--region", environment.region]
            setting = f"connections.{name}.port"
            yield Server(name, tuple(command), connection.port, "/ready", setting, folder, project)


def _databases(folder: Path, environment: Environment) -> tuple[_Database, ...]:
    by_port: dict[int, list[tuple[str, str]]] = {}
    for name, connection in environment.connections.items():
        if isinstance(connection, PostgreSQLConnection) and connection.host in LOOPBACK:
            by_port.setdefault(connection.port, []).append((name, connection.database))
    return tuple(
        _Database(
            connection=found[0][0],
            port=port,
            names=tuple(dict.fromkeys(database for _name, database in found)),
            server=EmbeddedPostgres(folder / "postgres" / found[0][0], port=port, database=found[0][1]),
        )
        for port, found in by_port.items()
    )


def _start_all(cloud: _Cloud, scale: str | None) -> None:
    for server in cloud.servers:
        processes.start(server)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(_start_database, cloud, database, scale) for database in cloud.databases]
        waiting += [pool.submit(processes.wait_until_ready, server) for server in cloud.servers]
        for future in waiting:
            future.result()
    _put_secrets(cloud)


def _start_database(cloud: _Cloud, database: _Database, scale: str | None) -> None:
    setting = f"connections.{database.connection}.port"
    if not database.server.is_running():
        processes.require_free_port(database.port, setting=setting)
    login = database.server.start()
    for name in database.names[1:]:
        database.server.ensure_database(name)
    if scale is not None and database is cloud.databases[0]:
        tpch.load(login, scale)


def _stop_database(database: _Database) -> bool:
    database.server.stop()
    return True


def _put_secrets(cloud: _Cloud) -> None:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=cloud.endpoint,
        region_name=cloud.environment.region,
        aws_access_key_id=_CREDENTIAL,
        aws_secret_access_key=_CREDENTIAL,
        config=Config(proxies={}),
    )
    for connection in cloud.environment.connections.values():
        if isinstance(connection, SnowflakeConnection):
            _put_secret(client, connection.secret, snowflake.secret(cloud.folder))
        else:
            for database in cloud.databases:
                if database.port == connection.port and connection.host in LOOPBACK:
                    login = database.server.login()
                    _put_secret(client, connection.secret, json.dumps(login.secret()))


def _put_secret(client: Any, name: str, value: str) -> None:
    try:
        if client.get_secret_value(SecretId=name)["SecretString"] != value:
            client.put_secret_value(SecretId=name, SecretString=value)
    except client.exceptions.ResourceNotFoundException:
        client.create_secret(Name=name, SecretString=value)


def _part(name: str, pid: int | None, address: str, log: Path) -> PartStatus:
    return {"name": name, "running": pid is not None, "address": address, "pid": pid, "log": str(log)}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two starts or stops of one project wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
