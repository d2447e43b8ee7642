"""A stack to put one construct into, and the environment that it belongs to."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk.assertions import Template

from etl_model.names import Names

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def names() -> Names:
    return Names(environment="test", account="123456789012", region="eu-west-1")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    flags = json.loads((PROJECT / "cdk.json").read_text())["context"]
    app = App(context=flags, outdir=str(tmp_path), builtin_cloud_formation_validation=False)
    return Stack(app, "Stack", env=Environment(account="123456789012", region="eu-west-1"))


def properties(stack: Stack, kind: str) -> list[dict[str, Any]]:
    """Properties of every resource of a kind, in the order of the template."""
    return [each.get("Properties", {}) for each in Template.from_stack(stack).find_resources(kind).values()]
