"""What the emulator is started with, and the environment that ministack reads when it is imported."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """`state` keeps buckets, catalog and stacks between starts; `project` holds .cache/jars and .cache/wheels.

    `full_compiler` gives jobs Java's second compiler: faster after a minute, slower until then.
    """

    port: int
    state: Path
    project: Path
    account: str = "000000000000"
    region: str = "us-east-1"
    warm_sessions: int = 2
    warm_idle_seconds: int = 900
    warm_niceness: int = 10
    full_compiler: bool = False

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> Path:
        """One log file per job run."""
        return self.state.parent / "runs"

    @property
    def outbox(self) -> Path:
        return self.state.parent / "outbox"

    @property
    def jars(self) -> Path:
        return self.project / ".cache" / "jars"

    @property
    def wheels(self) -> Path:
        return self.project / ".cache" / "wheels"


def prepare_environment(settings: Settings) -> None:
    """Set what ministack reads from the environment; has to run before ministack is imported."""
    os.environ.update(
        {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(settings.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": settings.account,
            "MINISTACK_REGION": settings.region,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(settings.state / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(settings.state / "s3"),
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
            # Listeners that nothing here uses.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Never look for Docker: a daemon on this machine belongs to somebody else.
            "DOCKER_HOST": f"unix://{settings.state}/no-docker.sock",
            # Lambda handlers of CDK's custom resources need node, which the virtual environment brings.
            "PATH": f"{_scripts_folder()}{os.pathsep}{os.environ.get('PATH', '')}",
        }
    )
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        os.environ.pop(name, None)


def _scripts_folder() -> Path:
    import sys

    return Path(sys.prefix) / "bin"
