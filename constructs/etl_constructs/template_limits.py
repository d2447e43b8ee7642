"""Stops a synth whose templates CloudFormation would refuse, while there is still time to split a pipeline."""

import json
from pathlib import Path

from aws_cdk import cx_api

from etl_model.problems import ConfigurationError, Problem

# CloudFormation's own limits are 500 resources and 1 MB: what is left is room for the next change.
MAX_RESOURCES = 450
MAX_BYTES = 900 * 1000


def check_templates(assembly: cx_api.CloudAssembly) -> None:
    """Raises ConfigurationError naming every stack of `assembly` that is over a limit."""
    problems = []
    for stack in assembly.stacks_recursively:
        text = Path(stack.template_full_path).read_bytes()
        resources = len(json.loads(text).get("Resources", {}))
        way_out = "Split the pipeline: move some of its tables to another pipelines/NAME/pipeline.yaml"
        if resources > MAX_RESOURCES:
            what = f"it has {resources} resources, and {MAX_RESOURCES} is the limit"
            problems.append(Problem(f"stack {stack.hierarchical_id}", what, way_out))
        if len(text) > MAX_BYTES:
            what = f"its template has {len(text) // 1000} kB, and {MAX_BYTES // 1000} is the limit"
            problems.append(Problem(f"stack {stack.hierarchical_id}", what, way_out))
    if problems:
        raise ConfigurationError(problems)
