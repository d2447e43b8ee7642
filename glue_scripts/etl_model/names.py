"""Every name that a deployment gives, derived in one place from (prefix, environment, account, region).

The CDK app creates by these names, the jobs and the `etl` command find by them: no exports, no look-ups.
Names over a service's limit keep their start and end in a hash of the whole, so that they stay unique and stable.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

Zone = Literal["landing", "raw", "staging", "curated", "analytics", "quarantine", "logs"]
Layer = Literal["raw", "staging", "curated", "analytics", "quarantine"]
Stage = Literal["extract", "transform", "validate", "load"]

ZONES: tuple[Zone, ...] = get_args(Zone)
LAYERS: tuple[Layer, ...] = get_args(Layer)
STAGES: tuple[Stage, ...] = get_args(Stage)

BUCKET_LIMIT, ROLE_LIMIT, DATABASE_LIMIT, NAME_LIMIT = 63, 64, 255, 255


def shortened(name: str, *, limit: int) -> str:
    """`name`, or its beginning and eight hex digits of its SHA-256 when it is longer than `limit` characters."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-_')}-{digest}"


@dataclass(frozen=True)
class Names:
    """Names within one deployment; `prefix` tells a feature branch's copy from the environment itself."""

    environment: str
    account: str
    region: str
    prefix: str = ""

    @property
    def _root(self) -> str:
        return "-".join(part for part in ("etl", self.prefix, self.environment) if part)

    def stack(self, part: str) -> str:
        return f"{self._root}-{part}".replace("_", "-")

    def bucket(self, zone: Zone) -> str:
        return shortened(f"{self._root}-{zone}-{self.account}-{self.region}".replace("_", "-"), limit=BUCKET_LIMIT)

    def database(self, pipeline: str, layer: Layer) -> str:
        parts = (self.prefix.replace("-", "_"), self.environment, pipeline, layer)
        return shortened("_".join(part for part in parts if part), limit=DATABASE_LIMIT).replace("-", "_")

    def location(self, pipeline: str, layer: Layer) -> str:
        """Where the tables of a layer lie: s3://bucket/pipeline."""
        return f"s3://{self.bucket(layer)}/{pipeline}"

    def job(self, pipeline: str, stage: Stage) -> str:
        return shortened(f"{self._root}-{pipeline}-{stage}", limit=NAME_LIMIT)

    def workflow(self, pipeline: str) -> str:
        return shortened(f"{self._root}-{pipeline}", limit=NAME_LIMIT)

    def trigger(self, pipeline: str, stage: Stage) -> str:
        return shortened(f"{self._root}-{pipeline}-start-{stage}", limit=NAME_LIMIT)

    def ruleset(self, pipeline: str, table: str) -> str:
        return shortened(f"{self._root}-{pipeline}-{table}", limit=NAME_LIMIT)

    def schedule(self, pipeline: str) -> str:
        return shortened(f"{self._root}-{pipeline}", limit=ROLE_LIMIT)

    def role(self, pipeline: str, part: str) -> str:
        return shortened(f"{self._root}-{pipeline}-{part}-{self.region}", limit=ROLE_LIMIT)

    def connection(self, name: str) -> str:
        return shortened(f"{self._root}-{name}", limit=NAME_LIMIT)

    def network_connection(self) -> str:
        return f"{self._root}-network"

    def security_configuration(self, pipeline: str) -> str:
        return shortened(f"{self._root}-{pipeline}", limit=NAME_LIMIT)

    def log_group(self, pipeline: str) -> str:
        """The prefix that Glue is given; it writes to `…/output` and `…/error`."""
        return f"/etl/{self._root}/{pipeline}"

    def topic(self) -> str:
        return f"{self._root}-alerts"

    def dashboard(self) -> str:
        return self._root

    def key_alias(self, purpose: str) -> str:
        return f"alias/{self._root}-{purpose}"

    def run_prefix(self, pipeline: str, run_id: str) -> str:
        """Key prefix in the logs bucket under which the stages of one run leave their reports."""
        return f"runs/{pipeline}/{run_id}"
