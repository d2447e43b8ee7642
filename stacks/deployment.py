"""What every stack of a deployment is given."""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import RemovalPolicy

from etl_model.environment import Environment
from etl_model.names import Names


@dataclass(frozen=True)
class Sources:
    """Folders that the stacks read: the scripts, the pipelines, and the built packages (which may be missing)."""

    glue_scripts: Path
    pipelines: Path
    wheels: Path


@dataclass(frozen=True)
class Deployment:
    """One environment under one prefix."""

    environment: Environment
    names: Names
    sources: Sources

    @property
    def removal_policy(self) -> RemovalPolicy:
        return RemovalPolicy[self.environment.removal_policy.upper()]

    @property
    def tags(self) -> dict[str, str]:
        """Put on every resource by CloudFormation, as tags of its stack."""
        tags = {"etl:environment": self.names.environment}
        return {**tags, "etl:prefix": self.names.prefix} if self.names.prefix else tags
