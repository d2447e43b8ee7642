"""What a job needs to know to reach a source or warehouse: metadata and the name of a secret, never its value."""

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_glue as glue
from constructs import Construct

from etl_model.connections import glue_connection_properties
from etl_model.environment import Connection
from etl_model.names import Names


class GlueConnection(Construct):
    """A connection of the environment file, as the jobs read it back."""

    def __init__(self, scope: Construct, id: str, *, names: Names, name: str, connection: Connection) -> None:
        super().__init__(scope, id)
        connection_type, properties = glue_connection_properties(connection)
        resource = glue.CfnConnection(
            self,
            "Resource",
            catalog_id=Stack.of(self).account,
            connection_input=glue.CfnConnection.ConnectionInputProperty(
                name=names.connection(name),
                description=f"{connection.kind}, read by the jobs with the secret {connection.secret}",
                connection_type=connection_type,
                connection_properties=properties,
            ),
        )
        # Glue takes SNOWFLAKE, but the service's published list of types, which cfn-lint knows, omits it.
        if connection_type == "SNOWFLAKE":
            resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["E3030"]}})


class NetworkConnection(Construct):
    """The one connection that every job attaches: it puts the job's workers into a subnet of the VPC."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, subnet: ec2.ISubnet, security_group: ec2.ISecurityGroup
    ) -> None:
        super().__init__(scope, id)
        glue.CfnConnection(
            self,
            "Resource",
            catalog_id=Stack.of(self).account,
            connection_input=glue.CfnConnection.ConnectionInputProperty(
                name=names.network_connection(),
                description="Where the jobs run: one subnet and the security group of the jobs",
                connection_type="NETWORK",
                physical_connection_requirements=glue.CfnConnection.PhysicalConnectionRequirementsProperty(
                    subnet_id=subnet.subnet_id,
                    availability_zone=subnet.availability_zone,
                    security_group_id_list=[security_group.security_group_id],
                ),
            ),
        )
