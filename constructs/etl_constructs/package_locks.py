"""Which locked package groups a job installs, and the name of their zip of wheels: pure functions of the lock files.

Imports nothing of the CDK: `make wheels` builds what synth refers to, and both ask here.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from etl_model.environment import Connection
from etl_model.names import Stage
from etl_model.pipeline import Pipeline

BASE = "base"
SUFFIX = ".gluewheels.zip"  # Glue installs offline from a zip only when its name ends so


@dataclass(frozen=True)
class PackageSet:
    """Groups installed together as one zip of wheels. `digest` changes with any of their locks."""

    groups: tuple[str, ...]
    digest: str

    @property
    def file_name(self) -> str:
        """Under build/wheels/: base-postgresql-0123456789ab.gluewheels.zip."""
        return f"{'-'.join(self.groups)}-{self.digest}{SUFFIX}"


def package_set(groups: Iterable[str], *, locks: Path) -> PackageSet:
    """The set of `groups`, base first, hashed from `locks`/GROUP.lock; FileNotFoundError when there is no such lock."""
    ordered = tuple(sorted(set(groups), key=lambda group: (group != BASE, group)))
    digest = hashlib.sha256()
    for group in ordered:
        digest.update(f"{group}\n".encode() + (locks / f"{group}.lock").read_bytes())
    return PackageSet(groups=ordered, digest=digest.hexdigest()[:12])


def needed_groups(pipeline: Pipeline, *, stage: Stage, connections: Mapping[str, Connection]) -> tuple[str, ...]:
    """Groups that one job of the pipeline installs: only the drivers of what the job itself connects to."""
    kinds: list[str] = []
    if stage == "extract":
        kinds = [connections[name].kind for name in pipeline.connections]
    elif stage == "load" and pipeline.warehouse:
        kinds = [connections[pipeline.warehouse.connection].kind]
    return (BASE, *sorted(set(kinds)))
