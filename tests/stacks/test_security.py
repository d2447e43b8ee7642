"""What no stack of any environment may lack, whoever wrote it."""

import json
from pathlib import Path

from aws_cdk import cx_api

from tests.stacks.conftest import Template, listed, resources, statements

# Actions that know no resource, each narrowed by the condition beside it.
WITHOUT_RESOURCE = {
    "Metrics": "cloudwatch:namespace",
    "LookUpNetwork": "aws:RequestedRegion",
}


def test_every_bucket_is_private_encrypted_and_versioned(templates: dict[str, Template]) -> None:
    found = list(resources(templates, "AWS::S3::Bucket"))
    assert len(found) == 6 * 7
    for where, bucket in found:
        encryption = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
        assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms", where
        assert "KMSMasterKeyID" in encryption["ServerSideEncryptionByDefault"], where
        assert encryption["BucketKeyEnabled"] is True, where
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, where
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, where


def test_every_bucket_queue_and_topic_refuses_calls_without_tls(templates: dict[str, Template]) -> None:
    for kind, policies in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy"),
    ):
        guarded = 0
        for where, policy in resources(templates, policies):
            denied = [
                each
                for each in statements(policy["PolicyDocument"])
                if each["Effect"] == "Deny" and each["Condition"].get("Bool") == {"aws:SecureTransport": "false"}
            ]
            assert denied, where
            guarded += 1
        assert guarded == len(list(resources(templates, kind))), kind


def test_raw_and_landing_have_a_key_that_no_other_zone_has(templates: dict[str, Template]) -> None:
    for stack in (name for name in templates if name.endswith("/storage")):
        keys: dict[str, set[str]] = {}
        for _, bucket in resources({stack: templates[stack]}, "AWS::S3::Bucket"):
            zone = bucket["BucketName"].split("-")[2]
            rule = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
            key = rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]["Fn::GetAtt"][0]
            keys.setdefault(key, set()).add(zone)
        assert {"raw", "landing"} in keys.values(), stack


def test_every_key_rotates(templates: dict[str, Template]) -> None:
    for where, key in resources(templates, "AWS::KMS::Key"):
        assert key["EnableKeyRotation"] is True, where


def test_no_stack_imports_from_another(templates: dict[str, Template]) -> None:
    for stack, template in templates.items():
        assert "Fn::ImportValue" not in json.dumps(template), stack
        assert not any("Export" in output for output in template.get("Outputs", {}).values()), stack


def test_nothing_is_looked_up_at_synth(assembly: cx_api.CloudAssembly) -> None:
    """What a look-up would have to answer, with credentials, is listed in the manifests as missing."""
    manifests = list(Path(assembly.directory).rglob("manifest.json"))
    assert len(manifests) == 1 + 6
    for file in manifests:
        assert not json.loads(file.read_text()).get("missing"), file


def test_no_policy_gives_every_resource_or_every_action(templates: dict[str, Template]) -> None:
    for where, policy in resources(templates, "AWS::IAM::Policy"):
        for statement in statements(policy["PolicyDocument"]):
            assert not [action for action in listed(statement["Action"]) if action == "*" or action.endswith(":*")], (
                where
            )
            if "*" in listed(statement["Resource"]):
                condition = WITHOUT_RESOURCE[statement["Sid"]]
                assert list(statement["Condition"]["StringEquals"]) == [condition], where


def test_no_lambda_function_is_deployed(templates: dict[str, Template]) -> None:
    """CDK adds one quietly for auto-delete, default security groups and notifications."""
    assert not list(resources(templates, "AWS::Lambda::Function"))


def test_secrets_are_named_but_never_held(templates: dict[str, Template]) -> None:
    for where, job in resources(templates, "AWS::Glue::Job"):
        assert not [name for name in job["DefaultArguments"] if "secret" in name or "password" in name], where
    for where, connection in resources(templates, "AWS::Glue::Connection"):
        properties = connection["ConnectionInput"].get("ConnectionProperties", {})
        assert not {"PASSWORD", "USERNAME"} & set(properties), where
    assert "resolve:secretsmanager" not in json.dumps(templates)
    assert not list(resources(templates, "AWS::SecretsManager::Secret"))


def test_an_environment_that_retains_loses_no_data_with_its_stacks(templates: dict[str, Template]) -> None:
    kinds = ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Glue::Database", "AWS::Logs::LogGroup")
    for stack, template in templates.items():
        expected = "Retain" if stack.split("/")[0] in ("stage", "production") else "Delete"
        for name, resource in template["Resources"].items():
            if resource["Type"] in kinds:
                assert resource["DeletionPolicy"] == expected, f"{stack} {name}"
                assert resource["UpdateReplacePolicy"] == expected, f"{stack} {name}"


def test_an_environment_that_destroys_leaves_no_resource_behind(templates: dict[str, Template]) -> None:
    for stack, template in templates.items():
        if stack.split("/")[0] in ("sandbox", "development", "test", "local"):
            kept = [name for name, each in template["Resources"].items() if each.get("DeletionPolicy") == "Retain"]
            assert not kept, stack
