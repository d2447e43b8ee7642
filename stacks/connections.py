"""The sources and warehouses of an environment, as Glue connections."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from etl_constructs.glue_connection import GlueConnection
from stacks.deployment import Deployment


class ConnectionsStack(Stack):
    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, **options: Any) -> None:
        super().__init__(scope, id, **options)
        for name, connection in deployment.environment.connections.items():
            GlueConnection(self, name.capitalize(), names=deployment.names, name=name, connection=connection)
