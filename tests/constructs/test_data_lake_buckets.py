from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from etl_constructs.data_lake_buckets import DataLakeBuckets, find_buckets
from etl_model.environment import Retention
from etl_model.names import Names
from tests.constructs.conftest import properties


def lake(stack: Stack, names: Names, retention: Retention | None = None) -> DataLakeBuckets:
    return DataLakeBuckets(
        stack, "Lake", names=names, retention=retention or Retention(), removal_policy=RemovalPolicy.RETAIN
    )


def rules(stack: Stack, zone: str) -> list[dict[str, object]]:
    bucket = next(each for each in properties(stack, "AWS::S3::Bucket") if f"-{zone}-" in each["BucketName"])
    found: list[dict[str, object]] = bucket["LifecycleConfiguration"]["Rules"]
    return found


def test_there_is_a_bucket_for_every_zone_in_use(stack: Stack, names: Names) -> None:
    assert set(lake(stack, names).buckets) == {
        "landing",
        "raw",
        "staging",
        "curated",
        "analytics",
        "quarantine",
        "logs",
    }


def test_current_objects_of_tables_never_expire(stack: Stack, names: Names) -> None:
    lake(stack, names)
    for zone in ("raw", "staging", "curated", "analytics", "quarantine"):
        assert not [rule for rule in rules(stack, zone) if "ExpirationInDays" in rule], zone


def test_replaced_objects_go_after_the_environments_days(stack: Stack, names: Names) -> None:
    lake(stack, names, Retention(noncurrent_days=30))
    assert [rule["NoncurrentVersionExpiration"] for rule in rules(stack, "curated")] == [{"NoncurrentDays": 30}]


def test_deleted_clear_text_is_gone_within_a_week_wherever(stack: Stack, names: Names) -> None:
    lake(stack, names, Retention(noncurrent_days=365))
    for zone in ("raw", "landing"):
        assert rules(stack, zone)[0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}


def test_unfinished_uploads_are_removed(stack: Stack, names: Names) -> None:
    lake(stack, names)
    for zone in ("raw", "curated", "logs"):
        assert rules(stack, zone)[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_loose_files_and_reports_expire(stack: Stack, names: Names) -> None:
    lake(stack, names, Retention(landing_days=60, run_reports_days=200))
    assert rules(stack, "landing")[1]["ExpirationInDays"] == 60
    assert rules(stack, "logs")[1]["ExpirationInDays"] == 200
    assert rules(stack, "logs")[1]["Prefix"] == "runs/"


def test_a_bucket_found_by_another_stack_brings_its_key_with_a_grant(stack: Stack, names: Names) -> None:
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("glue.amazonaws.com"))
    find_buckets(stack, names=names)["raw"].grant_read(role, "sales/*")
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::S3::Bucket", 0)
    (policy,) = properties(stack, "AWS::IAM::Policy")
    s3, kms = policy["PolicyDocument"]["Statement"]
    assert s3["Resource"] == [
        "arn:aws:s3:::etl-test-raw-123456789012-eu-west-1",
        "arn:aws:s3:::etl-test-raw-123456789012-eu-west-1/sales/*",
    ]
    assert kms["Resource"] == "{{resolve:ssm:/alias/etl-test-raw/arn}}"
    assert "kms:Decrypt" in kms["Action"]
    assert "kms:Encrypt" not in kms["Action"]


def test_the_keys_arn_is_where_other_stacks_look_for_it(stack: Stack, names: Names) -> None:
    lake(stack, names)
    parameters = {each["Name"] for each in properties(stack, "AWS::SSM::Parameter")}
    assert parameters == {"/alias/etl-test-lake/arn", "/alias/etl-test-raw/arn"}
