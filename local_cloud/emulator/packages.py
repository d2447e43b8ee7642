"""What a job's arguments ask Python to find: `--extra-py-files` and `--additional-python-modules`."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Log = Callable[[str], None]
Download = Callable[[str, Path], Path]

_WHEELS_SUFFIX = ".gluewheels.zip"
_installing = threading.Lock()


class PackageError(RuntimeError):
    """A package of the job cannot be had; the message is the run's error."""


def download_from(s3: Any) -> Download:
    """A function that puts the object of an s3:// address into a folder and returns its file."""

    def download(address: str, folder: Path) -> Path:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        target = folder / Path(key).name
        try:
            target.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except s3.exceptions.ClientError as error:
            raise PackageError(f"{address}: {error.response['Error'].get('Code')}") from error
        return target

    return download


def python_path(arguments: dict[str, str], *, download: Download, folder: Path, wheels: Path, log: Log) -> list[str]:
    """Entries for sys.path, first wins. `folder` takes the run's own files, `wheels` installed wheels of all runs."""
    entries = [_extra_entry(download(address, folder)) for address in _listed(arguments, "--extra-py-files")]
    for module in _listed(arguments, "--additional-python-modules"):
        if module.endswith(_WHEELS_SUFFIX):
            entries += _installed(download(module, folder), wheels, log)
        else:
            log(f"{module}: not installed in the local cloud, the project's own packages are used")
    for address in _listed(arguments, "--extra-files"):
        download(address, folder)
    return list(dict.fromkeys(entries))


def _listed(arguments: dict[str, str], name: str) -> list[str]:
    return [item.strip() for item in arguments.get(name, "").split(",") if item.strip()]


def _extra_entry(file: Path) -> str:
    return str(file.parent) if file.suffix == ".py" else str(file)


def _installed(archive: Path, wheels: Path, log: Log) -> list[str]:
    if not _runs_glue_wheels():
        here = f"{sys.platform} {platform.machine()}, Python {platform.python_version()}"
        log(f"{archive.name} holds wheels for Linux x86_64 and Python 3.11, this is {here}: the project's own are used")
        return []
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    target = wheels / digest
    with _installing:
        if not target.is_dir():
            _install(archive, target)
    return [str(target)]


def _runs_glue_wheels() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info[:2] == (3, 11)


def _install(archive: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".installing-", dir=target.parent))
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(scratch / "wheels")
        files = sorted(str(file) for file in (scratch / "wheels").rglob("*.whl"))
        if not files:
            raise PackageError(f"{archive.name} holds no wheels (*.whl)")
        options = ["--no-index", "--no-deps", "--target", str(scratch / "site"), *files]
        outcome = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-compile",
                *options,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode:
            lines = outcome.stderr.strip().splitlines() or ["no message"]
            raise PackageError(f"{archive.name} cannot be installed: {lines[-1]}")
        (scratch / "site").rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
