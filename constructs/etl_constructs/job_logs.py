"""Where the jobs of a pipeline log, and how Glue encrypts what it keeps for them."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from etl_model.names import Names


class JobLogs(Construct):
    """The two log groups that Glue writes below `prefix`, made beforehand for their retention and key.

    The security configuration covers bookmarks only. If it named a key for CloudWatch, Glue would write to
    PREFIX/CONFIGURATION-role/ROLE/output instead, a group that nobody made; the groups here carry the key themselves.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        pipeline: str,
        key: kms.IKey,
        retention_days: int,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        self.prefix = names.log_group(pipeline)
        self.key = key
        self.groups: dict[str, logs.ILogGroup] = {
            name: logs.LogGroup(
                self,
                name.capitalize(),
                log_group_name=f"{self.prefix}/{name}",
                retention=_RETENTION[retention_days],
                encryption_key=key,
                removal_policy=removal_policy,
            )
            for name in ("output", "error")
        }
        self.security_configuration = glue.SecurityConfiguration(
            self,
            "Security",
            security_configuration_name=names.security_configuration(pipeline),
            job_bookmarks_encryption=glue.JobBookmarksEncryption.client_side_kms(key),
            removal_policy=RemovalPolicy.DESTROY,
        )

    def grant_write(self, role: iam.IRole) -> None:
        """Writing to the two groups. Glue asks to create them at each start, also when they are there."""
        stack = Stack.of(self)
        arn = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:{self.prefix}"
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[arn + f"/{name}{part}" for name in self.groups for part in ("", ":*")],
            )
        )
        self.key.grant_encrypt_decrypt(role)


# Days to the names that CDK has for what CloudWatch takes; the environment's model admits these alone.
_RETENTION: dict[int, logs.RetentionDays] = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
