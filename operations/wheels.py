"""Builds the jobs' Python packages: `python -m operations.wheels build` (make wheels) and `… lock`.

A zip of wheels as Glue 5 installs it offline (AWS Glue Developer Guide, "Creating a zip of wheels artifact"):

    wheels/requirements.txt     every package at its exact version
    wheels/*.whl                for manylinux, x86_64, Python 3.11

The zip is a function of the locks alone, byte for byte: sorted, stored, without times.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from etl_constructs.package_locks import PackageSet, needed_groups, package_set
from etl_model.names import STAGES
from etl_model.problems import ConfigurationError, Problem
from etl_model.project import find_project, load_environments, load_pipelines

PYTHON = "3.11"
# Glue 5.1 runs Amazon Linux 2023 (glibc 2.34); pip takes exactly the tags that it is given.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_needed(project: Path) -> list[Path]:
    """Builds what the project's pipelines install in any of its environments; files that exist are kept."""
    pipelines = load_pipelines(project / "pipelines").values()
    environments = load_environments(project / "environments").values()
    groups = {
        needed_groups(pipeline, stage=stage, connections=environment.connections)
        for pipeline in pipelines
        for environment in environments
        for stage in STAGES
    }
    locks, folder = requirements_folder(project), project / "build" / "wheels"
    return [build(package_set(each, locks=locks), locks=locks, folder=folder) for each in sorted(groups)]


def build(packages: PackageSet, *, locks: Path, folder: Path) -> Path:
    """The zip of `packages` in `folder`, built unless it is there: its name holds the hash of its locks."""
    path = folder / packages.file_name
    if path.is_file():
        return path
    files = [locks / f"{group}.lock" for group in packages.groups]
    pins = read_pins(files)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        _download(files, Path(downloads))
        partial = folder / f".{packages.file_name}.{os.getpid()}"
        write_zip(partial, wheels=Path(downloads).glob("*.whl"), pins=pins)
        partial.replace(path)
    return path


def read_pins(locks: Iterable[Path]) -> dict[str, str]:
    """Package to version over all locks; ConfigurationError when two of them disagree."""
    pins: dict[str, str] = {}
    for lock in locks:
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", lock.read_text(), flags=re.MULTILINE):
            if pins.setdefault(name, version) != version:
                what = f"it pins {name}=={version}, and another group of the same job {name}=={pins[name]}"
                way_out = "Lock them together: python -m operations.wheels lock"
                raise ConfigurationError([Problem(str(lock), what, way_out)])
    return pins


def write_zip(path: Path, *, wheels: Iterable[Path], pins: dict[str, str]) -> None:
    """Writes the zip that Glue expects. Stored, not deflated: wheels are compressed, and zlib's output varies."""
    requirements = "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    entries = {"wheels/requirements.txt": requirements.encode()}
    entries |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = 3  # as made on Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, entries[name])


def lock_all(project: Path) -> list[Path]:
    """Resolves every GROUP.txt to GROUP.lock, exact and with hashes, for the platform of Glue; base constrains all."""
    folder = requirements_folder(project)
    provided = [line for line in (folder / "provided.txt").read_text().split("\n") if line and line[0] != "#"]
    groups = sorted(path.stem for path in folder.glob("*.txt") if path.stem != "provided")
    groups.sort(key=lambda group: group != "base")
    for group in groups:
        command = ["uv", "pip", "compile", f"{group}.txt", "--output-file", f"{group}.lock", "--quiet"]
        command += ["--python-platform", "x86_64-manylinux_2_28", "--python-version", PYTHON, "--only-binary", ":all:"]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
        command += [word for package in provided for word in ("--no-emit-package", package)]
        if group != "base":
            command += ["--constraints", "base.lock"]
        subprocess.run(command, cwd=folder, check=True)
    return [folder / f"{group}.lock" for group in groups]


def requirements_folder(project: Path) -> Path:
    return project / "glue_scripts" / "requirements"


def _download(locks: Sequence[Path], folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--dest", str(folder), "--only-binary", ":all:", "--no-deps", "--require-hashes"]
    command += ["--python-version", PYTHON, "--implementation", "cp"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += [word for lock in locks for word in ("--requirement", str(lock))]
    subprocess.run(command, check=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m operations.wheels", description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("build", "lock"))
    arguments = parser.parse_args(argv)
    try:
        project = find_project(Path.cwd())
        written = build_needed(project) if arguments.command == "build" else lock_all(project)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # a command line
        return 1
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print(f"The packages could not be fetched: {error}", file=sys.stderr)  # noqa: T201  # a command line
        return 1
    print("\n".join(str(path.relative_to(project)) for path in written))  # noqa: T201  # a command line
    return 0


if __name__ == "__main__":
    sys.exit(main())
