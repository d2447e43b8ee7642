"""The six environments as one app: what is synthesized, for whom, in which order, and what stops it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import cx_api

import app as project_app
from etl_constructs.template_limits import MAX_RESOURCES, check_templates
from etl_model.problems import ConfigurationError
from tests.stacks.conftest import PROJECT, Template, new_app, resources

ENVIRONMENTS = {"sandbox", "development", "test", "stage", "production", "local"}


def test_every_environment_has_every_stack(templates: dict[str, Template]) -> None:
    stacks = ("storage", "network", "connections", "sales", "monitoring")
    assert set(templates) == {f"{name}/{stack}" for name in ENVIRONMENTS for stack in stacks}


def test_stacks_are_deployed_in_the_order_of_what_they_need(assembly: cx_api.CloudAssembly) -> None:
    stacks = {stack.hierarchical_id: stack for stack in assembly.stacks_recursively}

    def needs(name: str) -> set[str]:
        found = [each for each in stacks[name].dependencies if isinstance(each, cx_api.CloudFormationStackArtifact)]
        return {each.hierarchical_id.split("/")[1] for each in found}

    assert needs("local/storage") == set()
    assert needs("local/network") == {"storage"}
    assert needs("local/connections") == {"storage"}
    assert needs("local/sales") == {"network", "connections"}
    assert needs("local/monitoring") == {"sales"}


def test_each_stack_names_its_account_and_region(assembly: cx_api.CloudAssembly) -> None:
    for stack in assembly.stacks_recursively:
        assert stack.environment.account.isdigit(), stack.hierarchical_id
        assert stack.environment.region in ("eu-west-1", "us-east-1"), stack.hierarchical_id


def test_names_stay_within_the_limits_of_their_services(templates: dict[str, Template]) -> None:
    limits = (
        ("AWS::S3::Bucket", "BucketName", 63),
        ("AWS::IAM::Role", "RoleName", 64),
        ("AWS::Scheduler::Schedule", "Name", 64),
        ("AWS::SQS::Queue", "QueueName", 80),
        ("AWS::Glue::Job", "Name", 255),
        ("AWS::Glue::Workflow", "Name", 255),
        ("AWS::Glue::Trigger", "Name", 255),
        ("AWS::Glue::DataQualityRuleset", "Name", 255),
        ("AWS::SNS::Topic", "TopicName", 256),
    )
    for kind, key, limit in limits:
        found = list(resources(templates, kind))
        assert found, kind
        assert not [where for where, each in found if len(each[key]) > limit], kind


def test_long_names_are_shortened_to_what_aws_takes(tmp_path: Path) -> None:
    name = "p" * 40
    pipelines = tmp_path / "pipelines"
    shutil.copytree(PROJECT / "pipelines" / "sales", pipelines / name)
    text = (pipelines / name / "pipeline.yaml").read_text().replace("name: sales", f"name: {name}", 1)
    (pipelines / name / "pipeline.yaml").write_text(text)
    app = new_app(
        tmp_path / "out", pipelines=str(pipelines), environment="development", feature="a-feature-of-20-chars"[:20]
    )
    project_app.add_stages(app)
    app.synth()  # CDK itself refuses names that are too long


def test_templates_pass_cfn_lint(template_files: dict[str, Path]) -> None:
    # W3010: availability zones are given on purpose, so that synth needs no credentials.
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--ignore-checks",
        "W3010",
        "--format",
        "parseable",
        "--",
    ]
    done = subprocess.run([*command, *map(str, template_files.values())], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_not_asked_for_is_not_synthesized(tmp_path: Path) -> None:
    app = new_app(tmp_path, environment="local")
    project_app.add_stages(app)
    assert {stack.hierarchical_id.split("/")[0] for stack in app.synth().stacks_recursively} == {"local"}


def test_an_unknown_environment_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        project_app.add_stages(new_app(tmp_path, environment="prod"))
    assert "-c environment=prod: there is no such environment" in str(raised.value)
    assert "production" in str(raised.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "pipelines" / "broken").mkdir(parents=True)
    (tmp_path / "pipelines" / "broken" / "pipeline.yaml").write_text("name: broken\ntabels: []\n")
    with pytest.raises(ConfigurationError) as raised:
        project_app.add_stages(
            new_app(tmp_path / "out", pipelines=str(tmp_path / "pipelines"), environment="nowhere,elsewhere")
        )
    text = str(raised.value)
    assert "unknown key 'tabels'" in text
    assert "nowhere" in text
    assert "elsewhere" in text


def test_a_pipeline_without_its_connection_names_file_line_and_way_out(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipelines"
    shutil.copytree(PROJECT / "pipelines" / "sales", pipelines / "sales")
    text = (pipelines / "sales" / "pipeline.yaml").read_text().replace("connection: erp", "connection: crm", 1)
    (pipelines / "sales" / "pipeline.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match="has no connection 'crm'") as raised:
        project_app.add_stages(new_app(tmp_path / "out", pipelines=str(pipelines), environment="local"))
    assert "pipelines/sales/pipeline.yaml:7" in str(raised.value)


def test_a_pipeline_cannot_take_the_name_of_a_stack_that_is_there(tmp_path: Path) -> None:
    pipelines = tmp_path / "pipelines"
    shutil.copytree(PROJECT / "pipelines" / "sales", pipelines / "storage")
    file = pipelines / "storage" / "pipeline.yaml"
    file.write_text(file.read_text().replace("name: sales", "name: storage", 1))
    with pytest.raises(ConfigurationError, match="a pipeline cannot be named 'storage'"):
        project_app.add_stages(new_app(tmp_path / "out", pipelines=str(pipelines), environment="local"))


def test_a_pipeline_over_the_resource_limit_is_refused_with_the_way_out(tmp_path: Path) -> None:
    tables = "".join(
        f"  - {{name: t{number}, source: {{connection: erp, table: t{number}}}, load: replace, "
        f'checks: "Rules = [ RowCount > 0 ]"}}\n'
        for number in range(MAX_RESOURCES)
    )
    (tmp_path / "pipelines" / "wide").mkdir(parents=True)
    (tmp_path / "pipelines" / "wide" / "pipeline.yaml").write_text(
        f"name: wide\ndescription: Too much\nowner: a@example.com\ntables:\n{tables}"
    )
    app = new_app(tmp_path / "out", pipelines=str(tmp_path / "pipelines"), environment="local")
    project_app.add_stages(app)
    with pytest.raises(ConfigurationError, match="Split the pipeline") as raised:
        check_templates(app.synth())
    assert "stack local/wide: it has 47" in str(raised.value)
    assert "450 is the limit" in str(raised.value)


def test_the_app_ends_with_words_and_not_with_a_stack_trace(tmp_path: Path) -> None:
    context = '{"environment": "nowhere"}'
    done = subprocess.run(
        [sys.executable, str(PROJECT / "app.py")],
        env={
            **os.environ,
            "CDK_CONTEXT_JSON": context,
            "CDK_OUTDIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "constructs"), str(PROJECT / "glue_scripts")]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no such environment" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_template_does_not_depend_on_the_folder_it_was_made_in(
    tmp_path: Path, templates: dict[str, Template]
) -> None:
    project = tmp_path / "a copy with spaces"
    for name in ("environments", "pipelines", "glue_scripts"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    app = new_app(tmp_path / "out", environment="local")
    project_app.add_stages(app, project=project)
    stack = next(each for each in app.synth().stacks_recursively if each.hierarchical_id == "local/sales")
    assert stack.template == templates["local/sales"]


def test_the_constructs_folder_is_no_package() -> None:
    """It would hide the library of that name."""
    assert not (PROJECT / "constructs" / "__init__.py").exists()
