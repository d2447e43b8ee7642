import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam

from etl_constructs.job_packages import JobPackages
from etl_constructs.package_locks import PackageSet, needed_groups, package_set
from etl_model.names import STAGES
from etl_model.problems import ConfigurationError
from etl_model.project import load_environment, load_pipeline
from operations.wheels import read_pins, requirements_folder, write_zip
from tests.constructs.conftest import PROJECT, properties

SET = PackageSet(groups=("base",), digest="0123456789ab")


def published(stack: Stack, folder: Path) -> tuple[JobPackages, dict[str, Any]]:
    """The construct, and the one asset that it published."""
    packages = JobPackages(stack, "Packages", packages=SET, folder=folder)
    app = stack.node.root
    assert isinstance(app, App)
    manifest = Path(app.synth().directory) / f"{stack.artifact_id}.assets.json"
    files = json.loads(manifest.read_text())["files"]
    (asset,) = [each for name, each in files.items() if "gluewheels" in name]
    return packages, asset


def destination(asset: dict[str, Any]) -> str:
    (found,) = asset["destinations"].values()
    return f"s3://{found['bucketName']}/{found['objectKey']}"


def test_the_address_in_s3_ends_as_glue_wants_it(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / SET.file_name).write_bytes(b"zip")
    packages, asset = published(stack, tmp_path)
    assert packages.s3_url == destination(asset)
    assert packages.s3_url.endswith("/0123456789ab.gluewheels.zip")
    assert asset["source"]["packaging"] == "file"


def test_without_the_file_synth_works_and_deploy_is_told_what_to_do(stack: Stack, tmp_path: Path) -> None:
    packages, asset = published(stack, tmp_path)
    assert packages.s3_url == destination(asset)
    assert packages.s3_url.endswith("/0123456789ab.gluewheels.zip")
    done = subprocess.run(asset["source"]["executable"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "base-0123456789ab.gluewheels.zip is not built. Run `make wheels`" in done.stderr


def test_reading_is_granted_for_the_one_object(stack: Stack, tmp_path: Path) -> None:
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("glue.amazonaws.com"))
    JobPackages(stack, "Packages", packages=SET, folder=tmp_path).grant_read(role)
    (policy,) = properties(stack, "AWS::IAM::Policy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert not [action for action in statement["Action"] if "Put" in action or "Delete" in action]
    assert statement["Resource"][1].endswith("/0123456789ab.gluewheels.zip")


def test_each_job_brings_only_the_drivers_of_what_it_connects_to() -> None:
    pipeline = load_pipeline(PROJECT / "pipelines" / "sales" / "pipeline.yaml")
    connections = load_environment(PROJECT / "environments" / "local.yaml").connections
    groups = {stage: needed_groups(pipeline, stage=stage, connections=connections) for stage in STAGES}
    assert groups == {
        "extract": ("base", "postgresql"),
        "transform": ("base",),
        "validate": ("base",),
        "load": ("base", "snowflake"),
    }


def test_the_name_changes_with_any_lock_and_with_nothing_else(tmp_path: Path) -> None:
    for group, text in (("base", "a==1\n"), ("postgresql", "b==1\n"), ("snowflake", "c==1\n")):
        (tmp_path / f"{group}.lock").write_text(text)
    before = package_set(["postgresql", "base"], locks=tmp_path)
    assert before.file_name.startswith("base-postgresql-")
    assert package_set(["base", "postgresql"], locks=tmp_path) == before
    (tmp_path / "snowflake.lock").write_text("c==2\n")
    assert package_set(["base", "postgresql"], locks=tmp_path) == before
    (tmp_path / "base.lock").write_text("a==2\n")
    assert package_set(["base", "postgresql"], locks=tmp_path) != before


def test_the_same_wheels_make_the_same_bytes(tmp_path: Path) -> None:
    wheels = [tmp_path / "b-1-py3-none-any.whl", tmp_path / "a-1-py3-none-any.whl"]
    for wheel in wheels:
        wheel.write_bytes(wheel.name.encode())
    write_zip(tmp_path / "one.zip", wheels=wheels, pins={"b": "1", "a": "1"})
    os.utime(wheels[0], (0, 0))
    write_zip(tmp_path / "two.zip", wheels=reversed(wheels), pins={"a": "1", "b": "1"})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_zip_is_laid_out_as_glue_reads_it(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    write_zip(tmp_path / "packages.zip", wheels=[wheel], pins={"a": "1"})
    with zipfile.ZipFile(tmp_path / "packages.zip") as archive:
        assert archive.namelist() == ["wheels/a-1-py3-none-any.whl", "wheels/requirements.txt"]
        assert archive.read("wheels/requirements.txt") == b"a==1\n"


def test_two_groups_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base.lock").write_text("typing-extensions==4.16.0 \\\n    --hash=sha256:0\n")
    (tmp_path / "rest.lock").write_text("typing-extensions==4.15.0 \\\n    --hash=sha256:1\n")
    with pytest.raises(ConfigurationError, match=r"typing-extensions==4\.15\.0, and another group"):
        read_pins([tmp_path / "base.lock", tmp_path / "rest.lock"])


def test_locks_are_exact_hashed_agree_and_leave_out_what_glue_ships() -> None:
    folder = requirements_folder(PROJECT)
    locks = sorted(folder.glob("*.lock"))
    assert [lock.stem for lock in locks] == ["base", "postgresql", "snowflake"]
    pins = read_pins(locks)
    assert {"pydantic", "pyyaml", "psycopg2-binary", "snowflake-connector-python"} <= set(pins)
    provided = [line for line in (folder / "provided.txt").read_text().splitlines() if line and line[0] != "#"]
    assert not set(provided) & set(pins)
    for lock in locks:
        text = lock.read_text()
        assert len(re.findall(r"^[a-z0-9].*==", text, flags=re.MULTILINE)) <= text.count("--hash=sha256:")
        assert "http" not in text, "no index address"
