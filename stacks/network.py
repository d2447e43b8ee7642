"""Where jobs run: the VPC and the connection that puts them into it."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from etl_constructs.glue_connection import NetworkConnection
from etl_constructs.job_network import JobNetwork
from stacks.deployment import Deployment


class NetworkStack(Stack):
    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, **options: Any) -> None:
        self._zones = _zones(deployment)
        super().__init__(scope, id, **options)
        environment = deployment.environment
        network = JobNetwork(
            self, "Network", network=environment.network, connections=environment.connections, region=environment.region
        )
        NetworkConnection(
            self,
            "Connection",
            names=deployment.names,
            subnet=network.subnet,
            security_group=network.security_group,
        )

    @property
    def availability_zones(self) -> list[str]:
        """As the environment file says: CDK would look them up with credentials."""
        return self._zones


def _zones(deployment: Deployment) -> list[str]:
    network = deployment.environment.network
    chosen = network.create or network.import_
    return list(chosen.availability_zones) if chosen else []
