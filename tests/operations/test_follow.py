"""A run is followed by looking at Glue and at the jobs' logs until it has ended."""

import io
import time
from collections.abc import Callable
from typing import Any

from botocore.stub import Stubber
from rich.console import Console

from operations.follow import LiveView, follow_run
from operations.job_log import JobLog, LogLine, parse_line
from operations.target import Target
from operations.workflow_run import read_workflow_run

OK = [("SUCCEEDED", "")]
Answer = Callable[..., dict[str, Any]]


def test_in_a_pipe_each_change_of_a_stage_is_one_line(target: Target, workflow_answer: Answer) -> None:
    looks = [
        workflow_answer({"extract": [("RUNNING", "")]}, status="RUNNING"),
        workflow_answer({"extract": [("RUNNING", "")]}, status="RUNNING"),
        workflow_answer({"extract": [("FAILED", "x"), ("RUNNING", "")]}, status="RUNNING"),
        workflow_answer({"extract": [("FAILED", "x"), ("SUCCEEDED", "")], "transform": OK, "validate": OK, "load": OK}),
    ]
    stream = io.StringIO()
    with Stubber(target.glue) as stub:
        for look in looks:
            stub.add_response("get_workflow_run", {"Run": look})
        console = Console(file=stream, width=80)
        ended = follow_run(target, "shop", "wr_1", console=console, seconds_between_looks=0)
    assert ended.state == "succeeded"
    assert stream.getvalue().splitlines() == [
        "extract    running",
        "extract    running (attempt 2)",
        "extract    succeeded in 8.0 s (attempt 2)",
        "transform  succeeded in 8.0 s",
        "validate   succeeded in 8.0 s",
        "load       succeeded in 8.0 s",
    ]


def test_a_log_gives_each_line_once_and_none_before_it_exists(target: Target) -> None:
    group = f"{target.names.log_group('shop')}/output"
    log = JobLog(target.logs, log_group=target.names.log_group("shop"), job_run_id="jr_1")
    assert log.new_lines() == []
    target.logs.create_log_stream(logGroupName=group, logStreamName="jr_1")

    def write(*messages: str) -> None:
        now = int(time.time() * 1000)
        events: Any = [{"timestamp": now, "message": message} for message in messages]
        target.logs.put_log_events(logGroupName=group, logStreamName="jr_1", logEvents=events)

    write('{"stage": "extract", "table": "orders", "level": "info", "message": "reading"}', "plain text of Spark")
    assert log.new_lines() == [LogLine("extract", "orders", "info", "reading")]
    assert log.new_lines() == []
    write('{"stage": "extract", "message": "done"}')
    assert log.new_lines() == [LogLine("extract", None, "info", "done")]


def test_lines_that_are_no_log_lines_are_passed_over() -> None:
    assert [parse_line(text) for text in ("", "text", "[1]", '{"a": 1}', '{"message": 5}')] == [None] * 5


def test_the_live_view_shows_each_stage_and_the_latest_message_of_each_table(
    target: Target, workflow_answer: Answer
) -> None:
    view = LiveView()
    answer = workflow_answer({"extract": OK, "transform": [("RUNNING", "")]}, status="RUNNING")
    lines = [
        LogLine("extract", None, "info", "all tables read"),
        LogLine("transform", "orders", "info", "casting"),
        LogLine("transform", "products", "info", "casting"),
        LogLine("transform", "orders", "info", "writing " + "[x] " * 40),
    ]
    view.show(read_workflow_run(answer, pipeline="shop", names=target.names), lines)
    stream = io.StringIO()
    Console(file=stream, width=80).print(view)
    shown = stream.getvalue().splitlines()
    assert len(shown) == 6
    assert max(map(len, shown)) <= 80
    assert shown[0].split() == ["✓", "extract", "succeeded", "8.0", "s", "all", "tables", "read"]
    assert "orders: writing [x] [x]" in shown[1]
    assert shown[2].split() == ["·", "validate", "waiting"]
    assert shown[4].strip() == "products: casting"
    assert shown[5].strip().startswith("orders: writing [x]")
