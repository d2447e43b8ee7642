"""Which AWS a command reaches, with whose credentials."""

from pathlib import Path

import pytest

from operations.failures import OperationError
from operations.target import Target, open_target


def test_the_local_cloud_is_reached_with_made_up_credentials_whatever_the_user_has(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    target = open_target(project, "local")
    credentials = target.session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.token) == ("000000000000", None)
    assert target.glue.meta.endpoint_url == target.environment.aws_endpoint_url


def test_credentials_of_another_account_are_refused(project: Path, aws: None) -> None:
    with pytest.raises(
        OperationError, match="they are of account 123456789012, and environment production is in 999999999999"
    ):
        open_target(project, "production")


def test_a_feature_branch_has_its_own_names(project: Path, aws: None) -> None:
    assert open_target(project, "sandbox", prefix="pr-7").names.workflow("shop") == "etl-pr-7-sandbox-shop"


def test_a_pipeline_is_checked_against_the_environment(target: Target, project: Path) -> None:
    file = project / "pipelines" / "shop" / "pipeline.yaml"
    file.write_text(file.read_text().replace("connection: erp", "connection: crm"))
    with pytest.raises(ValueError, match="environment sandbox has no connection 'crm'"):
        target.pipeline("shop")
