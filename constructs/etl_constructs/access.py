"""Statements for what CDK has no grant for, each narrowed as far as AWS allows."""

from collections.abc import Iterable

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

READ_CATALOG = ("glue:GetDatabase", "glue:GetTable", "glue:GetTables")
WRITE_CATALOG = ("glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable")


def tables_access(scope: Construct, *, databases: Iterable[str], actions: Iterable[str]) -> iam.PolicyStatement:
    """`actions` on the tables of `databases`. Glue checks the catalog, the database and the table of every call."""
    resources = [_glue(scope, "catalog")]
    for database in databases:
        resources += [_glue(scope, f"database/{database}"), _glue(scope, f"table/{database}/*")]
    return iam.PolicyStatement(actions=list(actions), resources=resources)


def connections_access(scope: Construct, *, connections: Iterable[str]) -> iam.PolicyStatement:
    """Reading Glue connections, by their names in Glue."""
    resources = [_glue(scope, "catalog"), *(_glue(scope, f"connection/{name}") for name in connections)]
    return iam.PolicyStatement(actions=["glue:GetConnection"], resources=resources)


def run_properties_access(scope: Construct, *, workflow: str) -> iam.PolicyStatement:
    """Reading and setting the properties of a workflow's runs."""
    return iam.PolicyStatement(
        actions=["glue:GetWorkflowRunProperties", "glue:PutWorkflowRunProperties"],
        resources=[_glue(scope, f"workflow/{workflow}")],
    )


def start_workflow_access(scope: Construct, *, workflow: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=["glue:StartWorkflowRun"], resources=[_glue(scope, f"workflow/{workflow}")])


def metrics_access(*, namespace: str) -> iam.PolicyStatement:
    """Publishing metrics: the action knows no resource, so the namespace is the limit."""
    return iam.PolicyStatement(
        sid="Metrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": namespace}},
    )


def worker_network_access(scope: Construct) -> list[iam.PolicyStatement]:
    """What Glue does with the job's role to put workers into a VPC. EC2's Describe actions know no resource."""
    return [
        iam.PolicyStatement(
            sid="LookUpNetwork",
            actions=[
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcEndpoints",
            ],
            resources=["*"],
            conditions={"StringEquals": {"aws:RequestedRegion": Stack.of(scope).region}},
        ),
        iam.PolicyStatement(
            sid="AttachWorkers",
            actions=["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
            resources=[_ec2(scope, kind) for kind in ("network-interface", "security-group", "subnet")],
        ),
        iam.PolicyStatement(
            sid="TagWorkers",
            actions=["ec2:CreateTags", "ec2:DeleteTags"],
            resources=[_ec2(scope, "network-interface")],
            conditions={"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}},
        ),
    ]


def _glue(scope: Construct, resource: str) -> str:
    stack = Stack.of(scope)
    return f"arn:{stack.partition}:glue:{stack.region}:{stack.account}:{resource}"


def _ec2(scope: Construct, kind: str) -> str:
    stack = Stack.of(scope)
    return f"arn:{stack.partition}:ec2:{stack.region}:{stack.account}:{kind}/*"
