"""Where every alert of an environment goes: an encrypted topic that AWS services may publish to."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from etl_constructs.encryption_key import EncryptionKey
from etl_model.names import Names

# Admitted for this account only. EventBridge is admitted by each rule that targets the topic, and without a condition:
# it does not say on whose behalf it publishes, so a condition would drop every message in silence (AWS: "You can't use
# Condition blocks in Amazon SNS topic policies for EventBridge"; the same holds for the topic's key).
PUBLISHERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")


class AlertingTopic(Construct):
    """A topic with e-mail subscriptions, TLS only, whose customer key admits the services that publish."""

    def __init__(
        self, scope: Construct, id: str, *, names: Names, emails: Sequence[str], removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(scope, id)
        key = EncryptionKey(
            self,
            "AlertsKey",
            names=names,
            purpose="alerts",
            description="Alerts on their way",
            removal_policy=removal_policy,
        )
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=names.topic(),
            display_name=f"ETL {names.environment}",
            master_key=key.key,
            enforce_ssl=True,
        )
        own: dict[str, dict[str, object]] = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        for service in PUBLISHERS:
            key.admit_service(service, actions=["kms:Decrypt", "kms:GenerateDataKey*"], conditions=own)
            self.topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"Allow{service.split('.')[0].capitalize()}",
                    principals=[iam.ServicePrincipal(service)],
                    actions=["sns:Publish"],
                    resources=[self.topic.topic_arn],
                    conditions=own,
                )
            )
        for email in emails:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))
