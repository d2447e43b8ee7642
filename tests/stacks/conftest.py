"""Every environment of the project synthesized once, in this process and without the CDK CLI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, cx_api

import app as project_app

PROJECT = Path(__file__).resolve().parents[2]
Template = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write the snapshots of the stacks anew")


def new_app(folder: Path, **context: Any) -> App:
    """An app with the feature flags of cdk.json, as the CDK CLI would start it."""
    flags = json.loads((PROJECT / "cdk.json").read_text())["context"]
    return App(context={**flags, **context}, outdir=str(folder), builtin_cloud_formation_validation=False)


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> cx_api.CloudAssembly:
    app = new_app(tmp_path_factory.mktemp("cdk.out"))
    project_app.add_stages(app)
    return app.synth()


@pytest.fixture(scope="session")
def templates(assembly: cx_api.CloudAssembly) -> dict[str, Template]:
    """Template by `environment/stack`."""
    return {
        stack.hierarchical_id: json.loads(Path(stack.template_full_path).read_text())
        for stack in assembly.stacks_recursively
    }


@pytest.fixture(scope="session")
def template_files(assembly: cx_api.CloudAssembly) -> dict[str, Path]:
    return {stack.hierarchical_id: Path(stack.template_full_path) for stack in assembly.stacks_recursively}


def resources(templates: dict[str, Template], kind: str) -> Iterator[tuple[str, Template]]:
    """(where, properties) of every resource of a kind in all templates."""
    for stack, template in templates.items():
        for name, resource in template["Resources"].items():
            if resource["Type"] == kind:
                yield f"{stack} {name}", resource.get("Properties", {})


def statements(policy: Template) -> list[Template]:
    found: list[Template] = policy["Statement"]
    return found


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one as the element itself."""
    return value if isinstance(value, list) else [value]
