"""Puts the extensions into ministack and serves it, with an orderly end: runs stopped, state saved, nothing left."""

import asyncio
import shutil
import signal
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from local_cloud.emulator import cloudformation
from local_cloud.emulator import ministack_access as aws
from local_cloud.emulator.athena import AthenaEngine
from local_cloud.emulator.glue_runner import GlueRunner
from local_cloud.emulator.job_runs import JobRuns
from local_cloud.emulator.outbox import Outbox
from local_cloud.emulator.saving import Saving, settle_interrupted_runs
from local_cloud.emulator.settings import Settings
from local_cloud.emulator.warm_sessions import WarmSessions
from local_cloud.emulator.worker_process import scratch_root
from local_cloud.emulator.workflows import Workflows

WARM_PATH = "/_local_cloud/warm"


def serve(settings: Settings, *, seconds_per_minute: float) -> None:
    """Serve until SIGTERM or SIGINT."""
    shutil.rmtree(scratch_root(settings), ignore_errors=True)  # of a start that was killed
    sessions = WarmSessions(settings)
    runner = GlueRunner(
        settings,
        sessions,
        more_runs_expected=lambda: workflows.is_running(),
        seconds_per_minute=seconds_per_minute,
    )
    job_runs = JobRuns(runner.execute)
    workflows = Workflows(job_runs)
    aws.replace_glue_actions(
        {
            **job_runs.handlers(),
            **workflows.handlers(),
            "CreateDataQualityRuleset": cloudformation.put_ruleset,
            "UpdateDataQualityRuleset": cloudformation.put_ruleset,
            "GetDataQualityRuleset": cloudformation.get_ruleset,
            "ListDataQualityRulesets": cloudformation.list_rulesets,
            "DeleteDataQualityRuleset": cloudformation.delete_ruleset,
        }
    )
    cloudformation.install(on_job_deployed=sessions.expect_runs)
    aws.on_notification(Outbox(settings.outbox).deliver)
    aws.replace_athena_engine(AthenaEngine(settings).run)
    saving = Saving(_with_warm_path(aws.ASGI_APP, sessions))
    job_runs.on_change(saving.changed)
    try:
        asyncio.run(_serve_until_terminated(saving, settings, job_runs, sessions))
    finally:
        saving.end()
        sessions.close()


async def _serve_until_terminated(app: Saving, settings: Settings, job_runs: JobRuns, sessions: WarmSessions) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    config = Config()
    config.bind = [f"127.0.0.1:{settings.port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"

    async def until_ended() -> None:
        await ended.wait()
        # Before ministack saves its state, so that the runs are saved as ended.
        await asyncio.to_thread(sessions.close)
        await asyncio.to_thread(job_runs.stop_all_and_wait, 10.0)

    app.start()
    await hypercorn_serve(app, config, shutdown_trigger=until_ended)


def _with_warm_path(app: Any, sessions: WarmSessions) -> Any:
    """The application after its state is loaded, and one path of our own: POST starts sessions, GET counts them."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, _after_startup(send))
            return
        if scope["type"] == "http" and scope["path"] == WARM_PATH:
            if scope["method"] == "POST":
                await asyncio.to_thread(sessions.expect_runs)
            body = b'{"sessions": %d}' % sessions.count()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": body})
            return
        await app(scope, receive, send)

    return wrapped


def _after_startup(send: Any) -> Any:
    async def settled(message: Any) -> None:
        if message["type"] == "lifespan.startup.complete":
            settle_interrupted_runs()
        await send(message)

    return settled
