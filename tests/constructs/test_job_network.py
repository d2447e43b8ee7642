from typing import Any

from aws_cdk import App, Environment, Stack
from aws_cdk.assertions import Template

from etl_constructs.glue_connection import NetworkConnection
from etl_constructs.job_network import JobNetwork
from etl_model.environment import Connection, Network, PostgreSQLConnection, SnowflakeConnection
from etl_model.names import Names
from tests.constructs.conftest import properties

ERP = PostgreSQLConnection(kind="postgresql", host="erp.example.com", database="erp", secret="s")
SECOND = PostgreSQLConnection(kind="postgresql", host="crm.example.com", port=6432, database="crm", secret="s")


def snowflake(network: str) -> SnowflakeConnection:
    values = {
        "kind": "snowflake",
        "account": "a",
        "warehouse": "W",
        "role": "R",
        "secret": "s",
        "storage_integration": "I",
    }
    if network == "privatelink":
        values["host"] = "a.privatelink.snowflakecomputing.com"
    return SnowflakeConnection.model_validate({**values, "network": network})


class ZonedStack(Stack):
    @property
    def availability_zones(self) -> list[str]:
        return ["eu-west-1a", "eu-west-1b"]


def network_stack(connections: dict[str, Connection], **network: Any) -> tuple[Stack, JobNetwork]:
    app = App(builtin_cloud_formation_validation=False)
    stack = ZonedStack(app, "Stack", env=Environment(account="123456789012", region="eu-west-1"))
    given = {"create": {"cidr": "10.1.0.0/16", "availability_zones": ["eu-west-1a", "eu-west-1b"]}, **network}
    settings = Network.model_validate({"s3_prefix_list_id": "pl-1", **given})
    return stack, JobNetwork(stack, "Network", network=settings, connections=connections, region="eu-west-1")


def ways_out(stack: Stack) -> set[tuple[str, int]]:
    """(destination, port) of each egress rule to addresses."""
    (group,) = properties(stack, "AWS::EC2::SecurityGroup")
    return {(rule["CidrIp"], rule["FromPort"]) for rule in group.get("SecurityGroupEgress", [])}


def test_without_nat_there_is_no_way_to_the_internet() -> None:
    stack, _ = network_stack({"erp": ERP})
    template = Template.from_stack(stack)
    for kind in ("AWS::EC2::NatGateway", "AWS::EC2::InternetGateway", "AWS::EC2::Route"):
        template.resource_count_is(kind, 0)


def test_a_private_connection_opens_its_own_port_to_private_addresses_only() -> None:
    stack, _ = network_stack({"erp": ERP, "crm": SECOND})
    assert ways_out(stack) == {
        (cidr, port) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16") for port in (5432, 6432)
    }


def test_the_internet_is_open_on_443_only_where_a_connection_says_nat() -> None:
    create = {"cidr": "10.1.0.0/16", "availability_zones": ["eu-west-1a"], "nat_gateways": 1}
    stack, _ = network_stack({"snowflake": snowflake("nat")}, create=create)
    Template.from_stack(stack).resource_count_is("AWS::EC2::NatGateway", 1)
    assert ways_out(stack) == {("0.0.0.0/0", 443)}


def test_what_jobs_call_has_an_endpoint_with_private_names() -> None:
    stack, _ = network_stack({})
    endpoints = properties(stack, "AWS::EC2::VPCEndpoint")
    interfaces = {
        each["ServiceName"].split(".")[-1]: each for each in endpoints if each["VpcEndpointType"] == "Interface"
    }
    assert set(interfaces) == {"glue", "logs", "monitoring", "secretsmanager", "kms", "sts"}
    assert all(each["PrivateDnsEnabled"] for each in interfaces.values())
    assert len([each for each in endpoints if each["VpcEndpointType"] == "Gateway"]) == 1


def test_workers_reach_each_other_the_endpoints_and_s3() -> None:
    stack, _ = network_stack({})
    (inside,) = properties(stack, "AWS::EC2::SecurityGroupIngress")
    assert inside["SourceSecurityGroupId"] == inside["GroupId"]
    egress = properties(stack, "AWS::EC2::SecurityGroupEgress")
    assert {each.get("DestinationPrefixListId") for each in egress} == {None, "pl-1"}
    assert [
        each["DestinationSecurityGroupId"] == each["GroupId"]
        for each in egress
        if "DestinationPrefixListId" not in each
    ]


def test_private_link_answers_to_the_names_that_the_driver_asks_for() -> None:
    stack, _ = network_stack(
        {"snowflake": snowflake("privatelink")}, privatelink_services={"snowflake": "com.vpce.svc"}
    )
    (zone,) = properties(stack, "AWS::Route53::HostedZone")
    assert zone["Name"] == "a.privatelink.snowflakecomputing.com."
    assert ways_out(stack) == set(), "the endpoint is in the group, so no address needs to be open"


def test_an_imported_vpc_is_used_as_it_is() -> None:
    existing = {
        "vpc_id": "vpc-0123",
        "cidr": "10.9.0.0/16",
        "availability_zones": ["eu-west-1a"],
        "private_subnet_ids": ["subnet-1"],
        "private_route_table_ids": ["rtb-1"],
        "create_endpoints": False,
    }
    stack, network = network_stack({}, create=None, **{"import": existing})
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::EC2::VPC", 0)
    template.resource_count_is("AWS::EC2::VPCEndpoint", 0)
    assert network.subnet.subnet_id == "subnet-1"
    assert network.subnet.availability_zone == "eu-west-1a"


def test_jobs_are_put_into_one_subnet_and_the_security_group(names: Names) -> None:
    stack, network = network_stack({})
    NetworkConnection(stack, "Connection", names=names, subnet=network.subnet, security_group=network.security_group)
    (connection,) = properties(stack, "AWS::Glue::Connection")
    where = connection["ConnectionInput"]["PhysicalConnectionRequirements"]
    assert connection["ConnectionInput"]["ConnectionType"] == "NETWORK"
    assert where["AvailabilityZone"] == "eu-west-1a"
    assert len(where["SecurityGroupIdList"]) == 1
