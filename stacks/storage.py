"""The data lake's buckets, and the keys that outlive every pipeline."""

from typing import Any

from aws_cdk import Stack
from constructs import Construct

from etl_constructs.data_lake_buckets import DataLakeBuckets
from etl_constructs.encryption_key import EncryptionKey
from stacks.deployment import Deployment


class StorageStack(Stack):
    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, **options: Any) -> None:
        super().__init__(scope, id, **options)
        names = deployment.names
        DataLakeBuckets(
            self,
            "Lake",
            names=names,
            retention=deployment.environment.retention,
            removal_policy=deployment.removal_policy,
        )
        logs_key = EncryptionKey(
            self,
            "LogsKey",
            names=names,
            purpose="logs",
            description="Job logs, bookmarks and missed starts",
            removal_policy=deployment.removal_policy,
        )
        group = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:{names.log_group('*')}"
        logs_key.admit_service(
            f"logs.{self.region}.amazonaws.com",
            actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": group}},
        )
