"""A job's Python packages as one file in S3 whose name Glue recognizes, published like any other asset.

An ordinary asset's key is its hash and the last suffix alone: `.gluewheels` would be lost, and Glue would refuse the
file. Naming the asset `HASH.gluewheels` keeps it. See docs/decisions/0002-job-packages.md.
"""

from pathlib import Path

from aws_cdk import AssetHashType, AssetStaging, FileAssetPackaging, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from etl_constructs.package_locks import SUFFIX, PackageSet


class JobPackages(Construct):
    """The zip of wheels of a package set, found in `folder` by the name that its locks give.

    Synth never builds it. While it is missing, synth still works and deployment stops with what to do.
    """

    def __init__(self, scope: Construct, id: str, *, packages: PackageSet, folder: Path) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)
        built = folder / packages.file_name
        if built.is_file():
            staging = AssetStaging(
                self,
                "Staging",
                source_path=str(built),
                asset_hash=packages.digest,
                asset_hash_type=AssetHashType.CUSTOM,
            )
            location = stack.synthesizer.add_file_asset(
                source_hash=f"{packages.digest}{SUFFIX.removesuffix('.zip')}",
                file_name=staging.relative_staged_path(stack),
                packaging=FileAssetPackaging.FILE,
                display_name=packages.file_name,
            )
        else:
            location = stack.synthesizer.add_file_asset(
                source_hash=f"{packages.digest}{SUFFIX}",
                executable=_refusal(packages.file_name),
                display_name=packages.file_name,
            )
        self._bucket = s3.Bucket.from_bucket_name(self, "Assets", location.bucket_name)
        self._key = location.object_key
        self.s3_url = f"s3://{location.bucket_name}/{location.object_key}"

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        return self._bucket.grant_read(grantee, self._key)


def _refusal(file_name: str) -> list[str]:
    """What the CDK CLI runs to get the file while it is not built: it fails with the way out."""
    message = f"{file_name} is not built. Run `make wheels`, then synthesize and deploy again."
    return ["node", "-e", f"console.error({message!r}); process.exit(1)"]
