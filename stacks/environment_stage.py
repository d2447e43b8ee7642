"""One environment: its stacks in the order in which they are deployed."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Environment as Target
from aws_cdk import Stage
from constructs import Construct

from etl_model.environment import Environment
from etl_model.names import Names
from etl_model.pipeline import Pipeline
from stacks.connections import ConnectionsStack
from stacks.deployment import Deployment, Sources
from stacks.monitoring import MonitoringStack
from stacks.network import NetworkStack
from stacks.pipeline import PipelineStack
from stacks.storage import StorageStack


class EnvironmentStage(Stage):
    """storage, then network and connections, then one stack a pipeline, then monitoring.

    Stacks find each other by the names of `Names`, never by exports, so each can be deployed and removed alone.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        environment: Environment,
        pipelines: Sequence[Pipeline],
        sources: Sources,
        prefix: str = "",
    ) -> None:
        super().__init__(scope, id, env=Target(account=environment.account, region=environment.region))
        names = Names(
            environment=environment.name, account=environment.account, region=environment.region, prefix=prefix
        )
        deployment = Deployment(environment=environment, names=names, sources=sources)

        def settings(part: str, description: str) -> dict[str, Any]:
            return {
                "deployment": deployment,
                "stack_name": names.stack(part),
                "description": f"ETL {environment.name}: {description}",
                "tags": deployment.tags,
                "termination_protection": part == "storage" and environment.removal_policy == "retain",
            }

        storage = StorageStack(self, "storage", **settings("storage", "data lake buckets and keys"))
        network = NetworkStack(self, "network", **settings("network", "where jobs run"))
        connections = ConnectionsStack(self, "connections", **settings("connections", "sources and warehouses"))
        monitoring = MonitoringStack(
            self, "monitoring", pipelines=pipelines, **settings("monitoring", "alerts and dashboard")
        )
        network.add_stack_dependency(storage)
        connections.add_stack_dependency(storage)
        for pipeline in pipelines:
            stack = PipelineStack(
                self, pipeline.name, pipeline=pipeline, **settings(pipeline.name, f"pipeline {pipeline.name}")
            )
            stack.add_stack_dependency(network)
            stack.add_stack_dependency(connections)
            monitoring.add_stack_dependency(stack)
