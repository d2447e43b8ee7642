"""Background servers of the local cloud: started detached, recorded in pid files, ended by exactly those records."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_START_SECONDS = 60
_TERMINATE_SECONDS = 10
# A server that was killed a moment ago still holds its port.
_PORT_SECONDS = 1.0


class ServerError(RuntimeError):
    """A server cannot be started; the message says why and the way out."""


@dataclass(frozen=True)
class Server:
    """One server: how to start it, where it answers, and which setting holds its port."""

    name: str
    command: tuple[str, ...]
    port: int
    ready_path: str
    setting: str
    folder: Path
    project: Path

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def record(self) -> Path:
        return self.folder / "pids" / f"{self.name}.json"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def running_pid(server: Server) -> int | None:
    """The pid of the recorded process when it is still that process; a reused pid is not."""
    try:
        record = json.loads(server.record.read_text())
        process = psutil.Process(int(record["pid"]))
        alive = process.create_time() == record["created"] and process.status() != psutil.STATUS_ZOMBIE
        return process.pid if alive else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def start(server: Server) -> bool:
    """Start it unless it runs; False when it did. Returns at once: `wait_until_ready` follows. Raises ServerError."""
    if running_pid(server) is not None:
        return False
    require_free_port(server.port, setting=server.setting)
    server.log.parent.mkdir(parents=True, exist_ok=True)
    server.record.parent.mkdir(parents=True, exist_ok=True)
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=server.project,
            # Its own session: Ctrl-C in the terminal that started it is not for it.
            start_new_session=True,
        )
    record = {"pid": process.pid, "created": psutil.Process(process.pid).create_time(), "command": server.command}
    server.record.write_text(json.dumps(record))
    return True


def wait_until_ready(server: Server) -> None:
    """Wait until it answers. Raises ServerError with the end of its log when it ends or stays silent."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), _DIRECT.open(server.address + server.ready_path, timeout=2):
            return
        if running_pid(server) is None:
            raise ServerError(f"{server.name} ended while it started; the end of {server.log}:\n{_tail(server.log)}")
        time.sleep(0.1)
    raise ServerError(
        f"{server.name} does not answer on {server.address}; the end of {server.log}:\n{_tail(server.log)}"
    )


def stop(server: Server) -> bool:
    """End it: asked first, killed when it does not listen. False when it did not run."""
    pid = running_pid(server)
    if pid is not None:
        process = psutil.Process(pid)
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_TERMINATE_SECONDS)
            except psutil.TimeoutExpired:
                os.killpg(pid, signal.SIGKILL)
                process.wait(_TERMINATE_SECONDS)
    server.record.unlink(missing_ok=True)
    return pid is not None


def require_free_port(port: int, *, setting: str) -> None:
    """Raises ServerError naming the setting to change when another program listens on the port."""
    deadline = time.monotonic() + _PORT_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise ServerError(port_in_use(port, setting=setting))
        time.sleep(0.1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def port_in_use(port: int, *, setting: str) -> str:
    return (
        f"port {port} of 127.0.0.1 is in use by another program. "
        f"Way out: end that program, or change {setting} in environments/local.yaml"
    )


def post(address: str) -> None:
    """An empty POST to a server of this machine. Raises OSError."""
    with _DIRECT.open(urllib.request.Request(address, method="POST"), timeout=10):
        pass


# A proxy of the user's environment has nothing to do with this machine's own addresses.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _tail(log: Path) -> str:
    with suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(lines[-8:])
    return "(no log)"
