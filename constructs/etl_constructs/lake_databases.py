"""The Glue databases of a pipeline, one a layer, so that two pipelines can both have a table `orders`."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_glue as glue
from constructs import Construct

from etl_model.names import LAYERS, Layer, Names


class LakeDatabases(Construct):
    """Databases whose tables lie at `names.location(pipeline, layer)`."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, pipeline: str, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(scope, id)
        self.databases: dict[Layer, glue.IDatabase] = {
            layer: glue.Database(
                self,
                layer.capitalize(),
                database_name=names.database(pipeline, layer),
                location_uri=names.location(pipeline, layer),
                description=f"The {layer} layer of pipeline {pipeline}",
                removal_policy=removal_policy,
            )
            for layer in LAYERS
        }
