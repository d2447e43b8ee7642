"""`etl run`, `resume`, `follow`, `stop` and `status` against moto's Glue, from the command line to the exit code."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.stub import Stubber
from typer.testing import Result

from operations.failures import OperationError
from operations.target import Target
from operations.workflow import start_run

Etl = Callable[..., Result]
OK = [("SUCCEEDED", "")]
ALL_OK = {"extract": OK, "transform": OK, "validate": OK, "load": OK}
NO_TRACE = "Traceback"


def test_a_successful_run_exits_0_and_says_which_run_it_was(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends(ALL_OK)
    result = etl("run", "shop", "--environment", "sandbox")
    assert result.exit_code == 0
    assert "succeeded after 4 m 00 s" in result.stdout
    assert "load       succeeded in 8.0 s" in result.stderr


def test_json_is_one_document_on_stdout_and_nothing_else(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends(ALL_OK)
    document = json.loads(etl("run", "shop", "--environment", "sandbox", "--tables", "orders", "--json").stdout)
    assert document["state"] == "succeeded"
    assert document["only_tables"] == ["orders"]
    assert document["errors"] == []
    assert [(stage["stage"], stage["state"], stage["seconds"]) for stage in document["stages"]] == [
        ("extract", "succeeded", 8.0),
        ("transform", "succeeded", 8.0),
        ("validate", "succeeded", 8.0),
        ("load", "succeeded", 8.0),
    ]
    assert sorted(document) == sorted(
        [
            "environment", "pipeline", "run_id", "workflow_run_id", "state", "mode", "only_tables", "started_at",
            "finished_at", "seconds", "failed_stage", "rows_read", "rows_loaded", "rows_quarantined", "rows_deleted",
            "stages", "tables", "failed_checks", "checks_passed", "comparison", "errors", "next",
        ]
    )  # fmt: skip


def test_a_failed_run_exits_1_with_glues_message_and_the_way_to_resume(
    etl: Etl, glue_ends: Callable[..., None]
) -> None:
    glue_ends({"extract": [("FAILED", "Command failed with exit code 137")]})
    result = etl("run", "shop", "--environment", "sandbox")
    assert result.exit_code == 1
    assert "stage extract (jr_extract_0): the job failed: Command failed with exit code 137" in unwrapped(result.stdout)
    assert "/etl/etl-sandbox/shop/output, stream jr_extract_0" in unwrapped(result.stdout)
    assert "etl resume shop --environment sandbox" in result.stdout


def test_a_run_in_which_a_stage_never_started_exits_1_and_names_it(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends({"extract": OK, "transform": OK, "validate": OK})
    result = etl("run", "shop", "--environment", "sandbox", "--json")
    assert result.exit_code == 1
    assert "these stages never ran: load" in json.loads(result.stdout)["errors"][0]["what"]


def test_resume_repeats_the_run_id_mode_and_tables_of_the_failed_run(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends({"extract": [("FAILED", "boom")]})
    failed = json.loads(
        etl("run", "shop", "-e", "sandbox", "--full-refresh", "--tables", "products,orders", "--json").stdout
    )
    glue_ends(ALL_OK)
    resumed = json.loads(etl("resume", "shop", "-e", "sandbox", "--json").stdout)
    assert resumed["state"] == "succeeded"
    assert resumed["workflow_run_id"] != failed["workflow_run_id"]
    assert (resumed["run_id"], resumed["mode"], resumed["only_tables"]) == (
        failed["run_id"],
        "full_refresh",
        ["products", "orders"],
    )


def test_a_run_that_succeeded_is_not_resumed(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends(ALL_OK)
    etl("run", "shop", "-e", "sandbox")
    result = etl("resume", "shop", "-e", "sandbox")
    assert result.exit_code == 2
    assert "it succeeded, so there is nothing to resume" in unwrapped(result.stderr)


def test_an_older_run_is_resumed_only_when_it_is_named(etl: Etl, glue_ends: Callable[..., None]) -> None:
    glue_ends({"extract": [("FAILED", "boom")]})
    failed = json.loads(etl("run", "shop", "-e", "sandbox", "--json").stdout)["run_id"]
    glue_ends(ALL_OK)
    etl("run", "shop", "-e", "sandbox")
    assert etl("resume", "shop", "-e", "sandbox").exit_code == 2
    assert json.loads(etl("resume", "shop", "-e", "sandbox", "--run", failed, "--json").stdout)["run_id"] == failed


def test_a_second_run_is_refused_with_the_id_of_the_active_one(target: Target) -> None:
    active = {"WorkflowRunId": "wr_7", "StartedOn": datetime(2026, 11, 23, 20, tzinfo=UTC), "Status": "RUNNING"}
    with Stubber(target.glue) as stub:
        stub.add_client_error("start_workflow_run", "ConcurrentRunsExceededException")
        stub.add_response("get_workflow_runs", {"Runs": [active]})
        stub.add_response("get_workflow_run", {"Run": {**active, "WorkflowRunProperties": {"run_id": "20261123T2-a"}}})
        with pytest.raises(OperationError) as raised:
            start_run(target, "shop", run_id="20261123T3-b", mode="incremental")
    assert raised.value.exit_code == 3
    assert "another run is active: 20261123T2-a (wr_7), since 2026-11-23 20:00:00 UTC" in str(raised.value)


def test_status_shows_state_failed_stage_and_rows_of_the_last_runs(
    etl: Etl, glue_ends: Callable[..., None], put_report: Callable[..., None]
) -> None:
    glue_ends({"extract": OK, "transform": [("TIMEOUT", "")]})
    run_id = json.loads(etl("run", "shop", "-e", "sandbox", "--json").stdout)["run_id"]
    put_report("extract", run_id=run_id, job_run_id="jr_extract_0", tables={"orders": {"source_rows": 15000}})
    shown = etl("status", "shop", "-e", "sandbox").stdout
    assert run_id in shown
    assert "failed: transform" in shown
    assert "15,000" in shown
    [pipeline] = json.loads(etl("status", "-e", "sandbox", "--json").stdout)["pipelines"]
    assert pipeline["active_run_id"] is None
    assert [(run["state"], run["failed_stage"], run["rows_read"]) for run in pipeline["runs"]] == [
        ("failed", "transform", 15000)
    ]


def test_status_names_the_active_run(etl: Etl, glue_ends: Callable[..., None], target: Target) -> None:
    glue_ends({"extract": OK, "transform": [("RUNNING", "")]}, status="RUNNING")
    target.glue.start_workflow_run(Name="etl-sandbox-shop", RunProperties={"run_id": "20261123T1-a"})
    assert "running: transform" in etl("status", "-e", "sandbox").stdout
    document = json.loads(etl("status", "-e", "sandbox", "--json").stdout)
    assert document["pipelines"][0]["active_run_id"] == "20261123T1-a"


def test_a_pipeline_without_runs_says_how_to_start_one(etl: Etl, target: Target) -> None:
    assert "etl run shop --environment sandbox" in unwrapped(etl("status", "-e", "sandbox").stdout)
    assert etl("follow", "shop", "-e", "sandbox").exit_code == 2


def test_ctrl_c_ends_the_watching_and_says_how_to_go_on(
    etl: Etl, glue_ends: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    glue_ends({"extract": [("RUNNING", "")]}, status="RUNNING")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    result = etl("run", "shop", "-e", "sandbox")
    assert result.exit_code == 130
    assert "goes on; only the watching has ended" in result.stderr
    assert "etl follow shop --environment sandbox" in result.stderr
    assert "etl stop shop --environment sandbox" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nope", "-e", "sandbox"), "there is no pipeline 'nope'"),
        (("run", "shop", "-e", "moon"), "there is no environment 'moon'"),
        (("run", "shop", "-e", "sandbox", "--tables", "orders,nope"), "pipeline shop has no table 'nope'"),
        (("run", "shop", "-e", "production"), "and environment production is in 999999999999"),
        (("run", "shop", "-e", "local"), "etl local start"),
        (("stop", "shop", "-e", "sandbox"), "no run is active"),
        (("resume", "shop", "-e", "sandbox"), "it has not run yet"),
    ],
)
def test_what_cannot_be_done_exits_2_with_a_short_reason(
    etl: Etl, target: Target, arguments: tuple[str, ...], words: str
) -> None:
    result = etl(*arguments)
    assert result.exit_code == 2
    assert words in unwrapped(result.stderr)
    assert "→" in result.stderr
    assert result.stdout == ""
    assert NO_TRACE not in result.stderr


def test_a_pipeline_that_is_not_deployed_says_how_to_deploy_it(etl: Etl, project: Path, aws: None) -> None:
    result = etl("run", "shop", "-e", "sandbox", "--json")
    assert result.exit_code == 2
    [error] = json.loads(result.stdout)["errors"]
    assert error["what"] == "it is not deployed in environment sandbox (no Glue workflow etl-sandbox-shop)"
    assert "cdk deploy" in error["way_out"]


def test_a_pipeline_that_is_not_deployed_does_not_hide_the_others(etl: Etl, target: Target, project: Path) -> None:
    (project / "pipelines" / "other").mkdir()
    (project / "pipelines" / "other" / "pipeline.yaml").write_text("name: other")
    shown = etl("status", "-e", "sandbox")
    assert shown.exit_code == 0
    assert "pipeline other: it is not deployed in environment sandbox" in unwrapped(shown.stdout)
    assert "pipeline shop: it has not run yet" in unwrapped(shown.stdout)


def test_a_wrong_pipeline_file_is_told_with_file_and_line(etl: Etl, project: Path, target: Target) -> None:
    file = project / "pipelines" / "shop" / "pipeline.yaml"
    file.write_text(file.read_text().replace("load: merge", "load: upsert"))
    result = etl("run", "shop", "-e", "sandbox")
    assert result.exit_code == 2
    assert "pipelines/shop/pipeline.yaml:6" in result.stderr


def test_without_credentials_the_message_says_how_to_sign_in(
    etl: Etl, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(project / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(project / "none"))
    result = etl("status", "-e", "sandbox")
    assert result.exit_code == 2
    assert "aws sso login" in unwrapped(result.stderr)


def test_debug_shows_the_traceback(etl: Etl, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETL_DEBUG", "1")
    assert isinstance(etl("run", "nope", "-e", "local").exception, OperationError)


def unwrapped(text: str) -> str:
    return " ".join(text.split())
