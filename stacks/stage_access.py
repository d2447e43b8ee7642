"""What the job of each stage may touch: exactly its zones, databases, connections and secrets, and their keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from etl_constructs.access import READ_CATALOG, WRITE_CATALOG, connections_access, tables_access
from etl_model.names import Layer, Names, Stage, Zone
from etl_model.pipeline import Pipeline
from stacks.deployment import Deployment


@dataclass(frozen=True)
class StageAccess:
    """Layers that a stage reads and those that it also writes; `connections` as the environment file names them.

    Of `states` it reads what the run's manifest and the tables' properties say, and no row.
    """

    reads: tuple[Layer, ...]
    writes: tuple[Layer, ...]
    states: tuple[Layer, ...] = ()
    connections: tuple[str, ...] = ()


def stage_access(pipeline: Pipeline, stage: Stage) -> StageAccess:
    """Only Extract and Transform read clear text; what others need of raw and curated is how far they are."""
    warehouse = (pipeline.warehouse.connection,) if pipeline.warehouse else ()
    accesses: dict[Stage, StageAccess] = {
        "extract": StageAccess(reads=(), writes=("raw",), connections=tuple(pipeline.connections)),
        "transform": StageAccess(reads=("raw",), writes=("staging",), states=("curated",)),
        "validate": StageAccess(reads=(), writes=("staging", "quarantine"), states=("raw", "curated")),
        "load": StageAccess(
            reads=(), writes=("staging", "curated", "analytics"), states=("raw",), connections=warehouse
        ),
    }
    return accesses[stage]


def grant_stage(
    scope: Construct,
    *,
    role: iam.Role,
    access: StageAccess,
    deployment: Deployment,
    pipeline: str,
    buckets: Mapping[Zone, s3.IBucket],
) -> None:
    """Grants `access` to the role of the job `scope`, within the pipeline's own part of each bucket."""
    names, own = deployment.names, f"{pipeline}/*"
    for layer in access.reads:
        buckets[layer].grant_read(role, own)
    for layer in access.writes:
        buckets[layer].grant_read_write(role, own)
    for layer in access.states:
        for state in (f"{pipeline}/_runs/*", f"{pipeline}/*/metadata/*.metadata.json"):
            buckets[layer].grant_read(role, state)
    # Every stage leaves its report beside those of the stages before it, and deletes none.
    buckets["logs"].grant_read(role, names.run_prefix(pipeline, "*"))
    buckets["logs"].grant_put(role, names.run_prefix(pipeline, "*"))
    for layers, actions in (
        (access.reads + access.writes + access.states, READ_CATALOG),
        (access.writes, WRITE_CATALOG),
    ):
        role.add_to_principal_policy(
            tables_access(scope, databases=_databases(names, pipeline, layers), actions=actions)
        )
    if access.connections:
        role.add_to_principal_policy(
            connections_access(scope, connections=[names.connection(name) for name in access.connections])
        )
    for name in access.connections:
        # Imported by name: its ARN ends in six characters that only Secrets Manager knows.
        secret = deployment.environment.connections[name].secret
        secretsmanager.Secret.from_secret_name_v2(scope, f"Secret{name}", secret).grant_read(role)


def _databases(names: Names, pipeline: str, layers: Iterable[Layer]) -> list[str]:
    return [names.database(pipeline, layer) for layer in layers]
