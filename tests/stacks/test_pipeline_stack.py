"""A pipeline's jobs, their roles, and what starts them."""

from typing import Any

from tests.stacks.conftest import Template, listed, resources, statements

STAGES = ("extract", "transform", "validate", "load")


def pipeline(templates: dict[str, Template], environment: str = "production") -> dict[str, Template]:
    return {"sales": templates[f"{environment}/sales"]}


def job(templates: dict[str, Template], stage: str, environment: str = "production") -> Any:
    jobs = resources(pipeline(templates, environment), "AWS::Glue::Job")
    return next(each for _, each in jobs if each["Name"].endswith(f"-{stage}"))


def allowed(templates: dict[str, Template], stage: str) -> list[tuple[str, str]]:
    """(action, resource) pairs of a stage's role in production."""
    template = templates["production/sales"]
    role = job(templates, stage)["Role"]["Fn::GetAtt"][0]
    pairs = []
    for _, policy in resources({"sales": template}, "AWS::IAM::Policy"):
        if policy["Roles"] == [{"Ref": role}]:
            for each in statements(policy["PolicyDocument"]):
                pairs += [
                    (action, str(where)) for action in listed(each["Action"]) for where in listed(each["Resource"])
                ]
    return pairs


def zones(templates: dict[str, Template], stage: str, action: str) -> set[str]:
    """Lake zones in whose objects a stage may do `action`."""
    return {
        where.split(":::etl-production-")[1].split("-")[0]
        for name, where in allowed(templates, stage)
        if name == action and ":::etl-production-" in where and "/" in where
    }


def test_each_job_has_a_role_of_its_own(templates: dict[str, Template]) -> None:
    for environment in ("local", "production"):
        roles = [job(templates, stage, environment)["Role"]["Fn::GetAtt"][0] for stage in STAGES]
        assert len(set(roles)) == 4


def test_a_stage_writes_only_its_own_zones(templates: dict[str, Template]) -> None:
    assert zones(templates, "extract", "s3:DeleteObject*") == {"raw"}
    assert zones(templates, "transform", "s3:DeleteObject*") == {"staging"}
    assert zones(templates, "validate", "s3:DeleteObject*") == {"staging", "quarantine"}
    assert zones(templates, "load", "s3:DeleteObject*") == {"staging", "curated", "analytics"}


def test_only_extract_and_transform_read_rows_in_clear_text(templates: dict[str, Template]) -> None:
    raw = "arn:aws:s3:::etl-production-raw-555555555555-eu-west-1/sales/"
    readable = {
        stage: {
            where.removeprefix(raw)
            for action, where in allowed(templates, stage)
            if action == "s3:GetObject*" and raw in where
        }
        for stage in STAGES
    }
    state = {"_runs/*", "*/metadata/*.metadata.json"}
    assert readable == {"extract": {"*"}, "transform": {"*"}, "validate": state, "load": state}


def test_a_stage_reads_only_the_secrets_that_it_connects_with(templates: dict[str, Template]) -> None:
    secrets = {
        stage: {where.split(":secret:")[1] for action, where in allowed(templates, stage) if "GetSecretValue" in action}
        for stage in STAGES
    }
    assert secrets == {
        "extract": {"etl/production/erp-??????"},
        "transform": set(),
        "validate": set(),
        "load": {"etl/production/snowflake-??????"},
    }


def test_a_role_stays_within_the_limit_of_inline_policies(templates: dict[str, Template]) -> None:
    for where, policy in resources(templates, "AWS::IAM::Policy"):
        assert len(str(policy["PolicyDocument"]).replace(" ", "")) < 10_240, where


def test_jobs_run_glue_5_1_once_at_a_time_with_the_pipelines_settings(templates: dict[str, Template]) -> None:
    extract = job(templates, "extract")
    assert extract["GlueVersion"] == "5.1"
    assert extract["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert (extract["WorkerType"], extract["NumberOfWorkers"]) == ("G.1X", 2)
    assert (extract["MaxRetries"], extract["Timeout"]) == (1, 480)
    assert extract["Connections"] == {"Connections": ["etl-production-network"]}


def test_an_environment_decides_about_flexible_execution(templates: dict[str, Template]) -> None:
    assert job(templates, "load", "sandbox")["ExecutionClass"] == "FLEX"
    assert "ExecutionClass" not in job(templates, "load", "production")


def test_jobs_are_told_what_the_scripts_read(templates: dict[str, Template]) -> None:
    arguments = job(templates, "load")["DefaultArguments"]
    assert arguments["--environment"] == "production"
    assert arguments["--prefix"] == "-"
    assert arguments["--account"] == "555555555555"
    assert arguments["--region"] == "eu-west-1"
    assert arguments["--pipeline"] == "sales"
    assert arguments["--pipeline_bundle"].startswith("s3://cdk-hnb659fds-assets-555555555555-eu-west-1/")
    assert arguments["--pipeline_bundle"].endswith(".zip")
    assert arguments["--datalake-formats"] == "iceberg"
    assert arguments["--job-bookmark-option"] == "job-bookmark-disable"
    assert arguments["--enable-observability-metrics"] == "true"
    assert arguments["--enable-auto-scaling"] == "true"
    assert arguments["--custom-logGroup-prefix"] == "/etl/etl-production/sales"


def test_a_job_installs_offline_and_only_the_drivers_that_it_uses(templates: dict[str, Template]) -> None:
    modules = {stage: job(templates, stage)["DefaultArguments"]["--additional-python-modules"] for stage in STAGES}
    assert all(address.endswith(".gluewheels.zip") for address in modules.values())
    assert modules["transform"] == modules["validate"]
    assert len(set(modules.values())) == 3
    assert job(templates, "load")["DefaultArguments"]["--python-modules-installer-option"] == "--no-index"


def test_logs_go_to_groups_with_retention_and_key(templates: dict[str, Template]) -> None:
    groups = {each["LogGroupName"]: each for _, each in resources(pipeline(templates), "AWS::Logs::LogGroup")}
    assert set(groups) == {"/etl/etl-production/sales/output", "/etl/etl-production/sales/error"}
    for each in groups.values():
        assert each["RetentionInDays"] == 365
        assert each["KmsKeyId"] == "{{resolve:ssm:/alias/etl-production-logs/arn}}"


def test_logs_stay_in_the_groups_that_were_made_for_them(templates: dict[str, Template]) -> None:
    """A key for CloudWatch in the security configuration would make Glue append its name and the role's."""
    for where, each in resources(templates, "AWS::Glue::SecurityConfiguration"):
        assert set(each["EncryptionConfiguration"]) == {"JobBookmarksEncryption"}, where


def test_each_stage_starts_when_the_one_before_has_succeeded(templates: dict[str, Template]) -> None:
    triggers = [each for _, each in resources(pipeline(templates), "AWS::Glue::Trigger")]
    assert [each["Type"] for each in triggers] == ["ON_DEMAND", "CONDITIONAL", "CONDITIONAL", "CONDITIONAL"]
    assert [each["Actions"][0]["JobName"].split("-")[-1] for each in triggers] == list(STAGES)
    for before, trigger in zip(STAGES, triggers[1:], strict=False):
        assert trigger["StartOnCreation"] is True
        assert trigger["Predicate"]["Conditions"] == [
            {"JobName": f"etl-production-sales-{before}", "LogicalOperator": "EQUALS", "State": "SUCCEEDED"}
        ]


def test_triggers_are_made_one_after_the_other(templates: dict[str, Template]) -> None:
    """Glue refuses triggers of one workflow that are made at the same time."""
    found = {
        name: listed(each["DependsOn"])
        for name, each in templates["production/sales"]["Resources"].items()
        if each["Type"] == "AWS::Glue::Trigger"
    }
    assert [len(set(found) & set(needed)) for needed in found.values()] == [0, 1, 1, 1]


def test_one_run_of_a_workflow_at_a_time(templates: dict[str, Template]) -> None:
    assert [each["MaxConcurrentRuns"] for _, each in resources(pipeline(templates), "AWS::Glue::Workflow")] == [1]


def test_schedules_run_only_where_the_environment_says_so(templates: dict[str, Template]) -> None:
    states = {where.split("/")[0]: each["State"] for where, each in resources(templates, "AWS::Scheduler::Schedule")}
    assert states == {
        "sandbox": "DISABLED",
        "development": "DISABLED",
        "test": "DISABLED",
        "local": "DISABLED",
        "stage": "ENABLED",
        "production": "ENABLED",
    }


def test_a_schedule_can_do_nothing_but_start_its_workflow(templates: dict[str, Template]) -> None:
    ((_, schedule),) = resources(pipeline(templates), "AWS::Scheduler::Schedule")
    assert schedule["ScheduleExpression"] == "cron(15 2 * * ? *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Dublin"
    assert schedule["Target"]["Input"] == '{"Name": "etl-production-sales"}'
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    ((_, policy),) = [
        each for each in resources(pipeline(templates), "AWS::IAM::Policy") if each[1]["Roles"] == [{"Ref": role}]
    ]
    actions = {action for each in statements(policy["PolicyDocument"]) for action in listed(each["Action"])}
    assert {action for action in actions if action.startswith("glue:")} == {"glue:StartWorkflowRun"}
    assert {action.split(":")[0] for action in actions} == {"glue", "sqs", "kms"}


def test_checks_are_registered_without_a_table_that_does_not_exist_yet(templates: dict[str, Template]) -> None:
    rulesets = {each["Name"]: each for _, each in resources(pipeline(templates), "AWS::Glue::DataQualityRuleset")}
    assert "etl-production-sales-orders" in rulesets
    assert "etl-production-sales-part" not in rulesets, "part has no checks"
    for each in rulesets.values():
        assert "TargetTable" not in each
        assert each["Ruleset"].startswith("Rules")


def test_each_layer_has_a_database_of_the_pipelines_own(templates: dict[str, Template]) -> None:
    found = {
        each["DatabaseInput"]["Name"]: each["DatabaseInput"]["LocationUri"]
        for _, each in resources(pipeline(templates), "AWS::Glue::Database")
    }
    assert found["production_sales_curated"] == "s3://etl-production-curated-555555555555-eu-west-1/sales"
    assert len(found) == 5
