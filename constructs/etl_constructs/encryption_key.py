"""A customer key that other stacks find by name: its ARN lies in a parameter, since IAM accepts no key alias."""

from collections.abc import Sequence
from typing import Literal

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from etl_model.names import Names

Purpose = Literal["lake", "raw", "logs", "alerts"]


class EncryptionKey(Construct):
    """A rotated key with its alias, and the parameter by which `find_key` finds it."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        purpose: Purpose,
        description: str,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        self.key = kms.Key(
            self,
            "Key",
            alias=names.key_alias(purpose),
            description=description,
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        ssm.StringParameter(
            self,
            "Arn",
            parameter_name=key_parameter(names, purpose),
            description=f"ARN of the key {names.key_alias(purpose)}",
            string_value=self.key.key_arn,
        )

    def admit_service(
        self, service: str, *, actions: Sequence[str], conditions: dict[str, dict[str, object]] | None = None
    ) -> None:
        """Lets an AWS service use the key for data that it handles on its own behalf."""
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"Allow{service.split('.')[0].capitalize()}",
                principals=[iam.ServicePrincipal(service)],
                actions=list(actions),
                resources=["*"],  # in a key policy: this key
                conditions=conditions,
            )
        )


def key_parameter(names: Names, purpose: Purpose) -> str:
    """The parameter's name, derived from the alias: /alias/etl-test-lake/arn."""
    return f"/{names.key_alias(purpose)}/arn"


def find_key(scope: Construct, id: str, *, names: Names, purpose: Purpose) -> kms.IKey:
    """The key as another stack made it, resolved at deployment: no export that would lock its producer."""
    arn = ssm.StringParameter.from_string_parameter_attributes(
        scope, f"{id}Arn", parameter_name=key_parameter(names, purpose), force_dynamic_reference=True, simple_name=False
    )
    return kms.Key.from_key_arn(scope, id, arn.string_value)
