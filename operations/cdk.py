"""The real CDK CLI against the local cloud: bootstrap, synth and deploy, told as one line per step and stack."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from etl_model.environment import Environment
from operations.failures import failure

Say = Callable[[str], None]

_TAIL_LINES = 20
# What went well says nothing about a failure: resource events, assets.
_NOISE = re.compile(r"\| [A-Z_]+_(?:IN_PROGRESS|COMPLETE) +\||: (?:start|success): |^Stack ARN:|^arn:")
_SECONDS_TO_STOP = 10
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# "local/storage (etl-local-storage): deploying... [1/5]" and " ✅  local/storage (etl-local-storage) (no changes)"
_STARTED = re.compile(r"^(?P<stack>\S+)(?: \((?P<name>[^)]+)\))?: deploying\.\.\.(?: (?P<position>\[\d+/\d+\]))?")
_ENDED = re.compile(
    r"^\s*(?P<mark>✅|❌)\s+(?P<stack>[^\s:]+)(?: \((?!no changes)(?P<name>[^)]+)\))?:?\s*(?P<rest>.*)$"
)


def deploy_local(
    project: Path, environment: Environment, *, variables: Mapping[str, str], log: Path, say: Say = lambda line: None
) -> None:
    """Bootstraps the local account, synthesizes `environment` and deploys all its stacks.

    `variables` point the AWS SDKs at the local cloud; `say` gets a line per step and stack; everything that the CLI
    prints goes to `log` (what bootstrap prints: to bootstrap.log beside it). OperationError quotes the end of the log
    when a step fails. Repeating it deploys what changed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cli = _Cli(project=project, variables=variables)
    assembly = f"cdk.out/assembly-{environment.name}"
    bootstrap_log = log.with_name("bootstrap.log")
    with log.open("w", encoding="utf-8") as stream, bootstrap_log.open("w", encoding="utf-8") as bootstrap_stream:
        say("synthesizing and bootstrapping")
        # Side by side, since neither needs the other. Bootstrap runs outside the project, whose cdk.json would make it
        # synthesize as well.
        bootstrap = ("bootstrap", f"aws://{environment.account}/{environment.region}")
        synth = ("synth", "--quiet", "-c", f"environment={environment.name}")
        outside = log.parent / "bootstrap"
        outside.mkdir(exist_ok=True)
        with cli.started(bootstrap, folder=outside, output=bootstrap_stream) as bootstrapping:
            with cli.started(synth, output=stream) as synthesizing:
                _require_success("cdk synth", synthesizing.wait(), log)
            _require_success("cdk bootstrap", bootstrapping.wait(), bootstrap_log)
        arguments = ("deploy", "--all", "--app", assembly, "--require-approval", "never", "--progress", "events")
        with cli.started(arguments, output=subprocess.PIPE) as deploying:
            assert deploying.stdout is not None
            for line in deploying.stdout:
                stream.write(line)
                stream.flush()
                if told := stack_progress(line):
                    say(told)
            _require_success("cdk deploy", deploying.wait(), log)


def stack_progress(line: str) -> str | None:
    """What a line of `cdk deploy` says about a stack as a whole, or None."""
    text = _ESCAPES.sub("", line).rstrip()
    if ended := _ENDED.match(text):
        name = ended["name"] or ended["stack"]
        if ended["mark"] == "❌":
            return f"{name}: failed"
        return f"{name}: {'no changes' if 'no changes' in ended['rest'] else 'deployed'}"
    if started := _STARTED.match(text):
        position = f" {started['position']}" if started["position"] else ""
        return f"{started['name'] or started['stack']}: deploying{position}"
    return None


class _Cli:
    """The pinned CDK CLI on the virtual environment's own Node."""

    def __init__(self, *, project: Path, variables: Mapping[str, str]) -> None:
        self._project = project
        binaries = Path(sys.executable).parent
        self._command = (str(binaries / "node"), str(project / "node_modules" / ".bin" / "cdk"))
        for needed in self._command:
            if not Path(needed).exists():
                raise failure(needed, "it is not installed", "Install it with: make setup")
        # What the user's shell says about AWS must not leak into the local cloud.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
        path = os.pathsep.join((str(binaries), inherited.get("PATH", os.defpath)))
        self._variables = {**inherited, "PATH": path, "FORCE_COLOR": "0", **variables}

    @contextmanager
    def started(
        self, arguments: Sequence[str], *, output: int | IO[str], folder: Path | None = None
    ) -> Iterator["subprocess.Popen[str]"]:
        """The running CLI, which does not outlive the block."""
        process = subprocess.Popen(
            [*self._command, *arguments, "--no-version-reporting", "--no-notices"],
            cwd=folder or self._project,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that Node, and the app that it starts, can be ended together
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()


def _require_success(step: str, exit_code: int, log: Path) -> None:
    if exit_code:
        raise failure(step, f"it ended with exit code {exit_code}:\n{log_tail(log)}", f"The whole output: {log}")


def log_tail(log: Path) -> str:
    """The last lines of a log that say something, indented."""
    lines = [_ESCAPES.sub("", line).rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    told = [line for line in lines if line and not _NOISE.search(line)]
    return "\n".join(f"    {line}" for line in told[-_TAIL_LINES:])
