"""The network that jobs run in: private subnets, endpoints for what they call, and one way out at most."""

from collections.abc import Mapping

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as route53_targets
from constructs import Construct

from etl_model.environment import Connection, CreateVpc, ImportVpc, Network

HTTPS = ec2.Port.tcp(443)
PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
ENDPOINTS: Mapping[str, ec2.InterfaceVpcEndpointAwsService] = {
    "Glue": ec2.InterfaceVpcEndpointAwsService.GLUE,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
}


class JobNetwork(Construct):
    """A VPC, made or imported, with the jobs' security group and endpoints.

    `subnet` is where jobs run: Glue takes one subnet, hence one availability zone.
    """

    def __init__(
        self, scope: Construct, id: str, *, network: Network, connections: Mapping[str, Connection], region: str
    ) -> None:
        super().__init__(scope, id)
        self.vpc = _made_vpc(self, network.create) if network.create else _imported_vpc(self, network.import_)
        self.subnet: ec2.ISubnet = _job_subnets(self.vpc)[0]
        self.security_group = ec2.SecurityGroup(
            self,
            "Jobs",
            vpc=self.vpc,
            allow_all_outbound=False,
            description="Workers of the Glue jobs and their endpoints",
        )
        # Glue's own rule: workers talk to each other on any port. Endpoints join the group, so this covers them too.
        self.security_group.add_ingress_rule(self.security_group, ec2.Port.all_tcp(), "Workers among themselves")
        self.security_group.add_egress_rule(self.security_group, ec2.Port.all_tcp(), "Workers among themselves")
        self.security_group.add_egress_rule(ec2.Peer.prefix_list(network.s3_prefix_list_id), HTTPS, "S3 by its gateway")
        for connection in connections.values():
            self._open_way_to(connection)
        if network.create or (network.import_ and network.import_.create_endpoints):
            self._add_endpoints(region=region)
        for name, service in network.privatelink_services.items():
            self._add_private_link(name=name, service=service, connection=connections.get(name))

    def _open_way_to(self, connection: Connection) -> None:
        port = ec2.Port.tcp(connection.port)
        if connection.network == "nat":
            self.security_group.add_egress_rule(ec2.Peer.any_ipv4(), port, f"{connection.kind} by NAT")
        elif connection.network == "private":
            for cidr in PRIVATE_RANGES:
                self.security_group.add_egress_rule(ec2.Peer.ipv4(cidr), port, f"{connection.kind} in private networks")

    def _add_endpoints(self, *, region: str) -> None:
        self.vpc.add_gateway_endpoint(
            "S3",
            service=ec2.GatewayVpcEndpointAwsService.S3,
            subnets=[ec2.SubnetSelection(subnets=_job_subnets(self.vpc))],
        )
        for name, service in ENDPOINTS.items():
            self.vpc.add_interface_endpoint(
                name,
                service=service,
                private_dns_enabled=True,
                open=False,
                security_groups=[self.security_group],
                subnets=ec2.SubnetSelection(subnets=[self.subnet]),
            )

    def _add_private_link(self, *, name: str, service: str, connection: Connection | None) -> None:
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            f"PrivateLink{name.capitalize()}",
            vpc=self.vpc,
            service=ec2.InterfaceVpcEndpointService(service),
            private_dns_enabled=False,
            open=False,
            security_groups=[self.security_group],
            subnets=ec2.SubnetSelection(subnets=[self.subnet]),
        )
        if connection is None or connection.host is None:
            return
        # Such services bring no private DNS: a zone of the VPC sends the host's name to the endpoint.
        zone = route53.PrivateHostedZone(self, f"Zone{name.capitalize()}", zone_name=connection.host, vpc=self.vpc)
        target = route53.RecordTarget.from_alias(route53_targets.InterfaceVpcEndpointTarget(endpoint))
        route53.ARecord(self, f"Record{name.capitalize()}", zone=zone, target=target)
        route53.ARecord(self, f"Records{name.capitalize()}", zone=zone, record_name="*", target=target)


def _made_vpc(scope: Construct, wanted: CreateVpc) -> ec2.IVpc:
    has_nat = wanted.nat_gateways > 0
    private = ec2.SubnetType.PRIVATE_WITH_EGRESS if has_nat else ec2.SubnetType.PRIVATE_ISOLATED
    layers = [ec2.SubnetConfiguration(name="Jobs", subnet_type=private)]
    if has_nat:
        layers.append(ec2.SubnetConfiguration(name="Nat", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=28))
    return ec2.Vpc(
        scope,
        "Vpc",
        ip_addresses=ec2.IpAddresses.cidr(wanted.cidr),
        availability_zones=wanted.availability_zones,
        nat_gateways=wanted.nat_gateways,
        subnet_configuration=layers,
        restrict_default_security_group=False,  # would take a Lambda function; nothing uses the default group
    )


def _imported_vpc(scope: Construct, existing: ImportVpc | None) -> ec2.IVpc:
    assert existing is not None, "the model admits exactly one of create and import"
    return ec2.Vpc.from_vpc_attributes(
        scope,
        "Vpc",
        vpc_id=existing.vpc_id,
        vpc_cidr_block=existing.cidr,
        availability_zones=existing.availability_zones,
        private_subnet_ids=existing.private_subnet_ids,
        private_subnet_route_table_ids=existing.private_route_table_ids,
    )


def _job_subnets(vpc: ec2.IVpc) -> list[ec2.ISubnet]:
    """The private subnets, whether or not a NAT gateway serves them."""
    return [*vpc.private_subnets, *vpc.isolated_subnets]
