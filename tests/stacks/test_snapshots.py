"""A change of any template shows here, as a diff of tests/stacks/snapshots.

After a change that is meant: `python -m pytest tests/stacks --update-snapshots`, then read the diff.
"""

import difflib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.conftest import Template

SNAPSHOTS = Path(__file__).parent / "snapshots"
# What changes with every edit of a script or a dependency says nothing about the stacks.
NORMALIZED = (
    (r"[0-9a-f]{64}\.(zip|py|json)", r"ASSET.\1"),
    (r"[0-9a-f]{12}\.gluewheels\.zip", "PACKAGES.gluewheels.zip"),
    (r'("--artifact_version": )"[0-9a-f]{12}"', r'\1"VERSION"'),
)


def snapshot_text(template: Template) -> str:
    """The template without CDK's bootstrap check, sorted, hashes replaced."""
    text = json.dumps({key: value for key, value in template.items() if key not in ("Rules", "Parameters")})
    for pattern, replacement in NORMALIZED:
        text = re.sub(pattern, replacement, text)
    return json.dumps(_in_stable_order(json.loads(text)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _in_stable_order(value: Any) -> Any:
    """CDK sorts the resources of a statement by names that hold hashes."""
    if isinstance(value, dict):
        return {
            key: sorted(each) if key == "Resource" and _is_texts(each) else _in_stable_order(each)
            for key, each in value.items()
        }
    return [_in_stable_order(each) for each in value] if isinstance(value, list) else value


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def snapshot_file(stack: str) -> Path:
    return SNAPSHOTS / f"{stack.replace('/', '.')}.json"


def test_every_stack_is_as_its_snapshot(templates: dict[str, Template], request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-snapshots"):
        SNAPSHOTS.mkdir(exist_ok=True)
        for file in SNAPSHOTS.glob("*.json"):
            file.unlink()
        for stack, template in templates.items():
            snapshot_file(stack).write_text(snapshot_text(template), encoding="utf-8")
    kept = {file.name: file.read_text(encoding="utf-8") for file in SNAPSHOTS.glob("*.json")}
    now = {snapshot_file(stack).name: snapshot_text(template) for stack, template in templates.items()}
    changed = [
        "".join(
            difflib.unified_diff(kept.get(name, "").splitlines(True), now.get(name, "").splitlines(True), name, "now")
        )
        for name in sorted({*kept, *now})
        if kept.get(name) != now.get(name)
    ]
    if changed:
        pytest.fail(
            "\n".join([*changed, "If this is meant: python -m pytest tests/stacks --update-snapshots"]), pytrace=False
        )


def test_a_template_has_no_parameter_but_the_bootstrap_version(templates: dict[str, Template]) -> None:
    for stack, template in templates.items():
        assert list(template.get("Parameters", {})) == ["BootstrapVersion"], stack
