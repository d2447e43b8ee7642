"""The buckets of the data lake: one a zone, encrypted, private, TLS only."""

from collections.abc import Mapping
from types import MappingProxyType

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from etl_constructs.encryption_key import EncryptionKey, Purpose, find_key
from etl_model.environment import Retention
from etl_model.names import Names, Zone

# Zones with values as the source shows them have a key of their own, so that reading them takes a grant of its own.
ZONE_KEYS: Mapping[Zone, Purpose] = MappingProxyType(
    {
        "landing": "raw",
        "raw": "raw",
        "staging": "lake",
        "curated": "lake",
        "analytics": "lake",
        "quarantine": "lake",
        "logs": "lake",
    }
)
# What was deleted from a clear-text zone is gone within a week, whatever the environment keeps elsewhere.
CLEAR_TEXT_NONCURRENT_DAYS = 7


class DataLakeBuckets(Construct):
    """A bucket for each zone and the two keys that encrypt them.

    Current objects of tables never expire: only table maintenance deletes them. With `RemovalPolicy.DESTROY` a stack's
    deletion removes empty buckets only; emptying them is a second, deliberate step.
    """

    def __init__(
        self, scope: Construct, id: str, *, names: Names, retention: Retention, removal_policy: RemovalPolicy
    ) -> None:
        super().__init__(scope, id)
        self.keys: dict[Purpose, kms.IKey] = {
            "lake": EncryptionKey(
                self,
                "LakeKey",
                names=names,
                purpose="lake",
                description="Data lake: staging, curated, analytics, quarantine and run reports",
                removal_policy=removal_policy,
            ).key,
            "raw": EncryptionKey(
                self,
                "RawKey",
                names=names,
                purpose="raw",
                description="Data lake: landing and raw, which hold clear text",
                removal_policy=removal_policy,
            ).key,
        }
        self.buckets: dict[Zone, s3.IBucket] = {
            zone: s3.Bucket(
                self,
                zone.capitalize(),
                bucket_name=names.bucket(zone),
                encryption=s3.BucketEncryption.KMS,
                encryption_key=self.keys[purpose],
                bucket_key_enabled=True,
                block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
                object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
                enforce_ssl=True,
                minimum_tls_version=1.2,
                versioned=True,
                lifecycle_rules=_lifecycle_rules(zone=zone, retention=retention),
                removal_policy=removal_policy,
            )
            for zone, purpose in ZONE_KEYS.items()
        }


def find_buckets(scope: Construct, *, names: Names) -> dict[Zone, s3.IBucket]:
    """The buckets as the storage stack made them, with their keys, so that a grant on one includes its key."""
    purposes = dict.fromkeys(ZONE_KEYS.values())
    keys = {each: find_key(scope, f"{each.capitalize()}Key", names=names, purpose=each) for each in purposes}
    return {
        zone: s3.Bucket.from_bucket_attributes(
            scope, f"{zone.capitalize()}Bucket", bucket_name=names.bucket(zone), encryption_key=keys[purpose]
        )
        for zone, purpose in ZONE_KEYS.items()
    }


def _lifecycle_rules(*, zone: Zone, retention: Retention) -> list[s3.LifecycleRule]:
    noncurrent = retention.noncurrent_days
    if ZONE_KEYS[zone] == "raw":
        noncurrent = min(noncurrent, CLEAR_TEXT_NONCURRENT_DAYS)
    rules = [
        s3.LifecycleRule(
            id="remove-what-was-replaced",
            noncurrent_version_expiration=Duration.days(noncurrent),
            abort_incomplete_multipart_upload_after=Duration.days(1),
            expired_object_delete_marker=True,
        )
    ]
    if zone == "landing":
        rules.append(s3.LifecycleRule(id="remove-old-files", expiration=Duration.days(retention.landing_days)))
    if zone == "logs":
        reports = Duration.days(retention.run_reports_days)
        rules.append(s3.LifecycleRule(id="remove-old-run-reports", prefix="runs/", expiration=reports))
    return rules
