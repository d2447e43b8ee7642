"""One deployment as the `etl` command reaches it: its files, its names and clients of its AWS, real or local."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore.config import Config
from botocore.session import Session as BotocoreSession

from etl_model.environment import Environment
from etl_model.names import Names
from etl_model.pipeline import Pipeline
from etl_model.project import check_connections, load_environment, load_pipeline
from operations.failures import failure

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True)
class Target:
    """`project` is the folder that holds cdk.json; clients are made once and go to the environment's endpoint."""

    project: Path
    environment: Environment
    names: Names
    session: Session

    @property
    def is_local(self) -> bool:
        return self.environment.aws_endpoint_url is not None

    @property
    def deploy_command(self) -> str:
        """What a person types to deploy to this target."""
        if self.is_local:
            return "etl local deploy"
        feature = f" -c feature={self.names.prefix}" if self.names.prefix else ""
        return f'cdk deploy "{self.environment.name}/*"{feature}'

    @property
    def pipelines_folder(self) -> Path:
        return self.project / "pipelines"

    def pipeline_names(self) -> list[str]:
        return sorted(path.parent.name for path in self.pipelines_folder.glob("*/pipeline.yaml"))

    def pipeline(self, name: str) -> Pipeline:
        """pipelines/NAME/pipeline.yaml, checked against this environment; ConfigurationError when it cannot be used."""
        known = self.pipeline_names()
        if name not in known:
            way_out = f"Create pipelines/{name}/pipeline.yaml, or use one of: {', '.join(known) or 'none yet'}"
            raise failure("PIPELINE", f"there is no pipeline {name!r}", way_out)
        pipeline = load_pipeline(self.pipelines_folder / name / "pipeline.yaml")
        check_connections([pipeline], self.environment, self.pipelines_folder)
        return pipeline

    @property
    def _options(self) -> dict[str, Any]:
        if not self.is_local:
            return {"config": Config(retries={"mode": "standard", "total_max_attempts": 5})}
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=3,
            proxies={},  # never send what is on this machine through a proxy of the environment variables
            s3={"addressing_style": "path"},
        )
        return {"config": config, "endpoint_url": self.environment.aws_endpoint_url}

    @cached_property
    def glue(self) -> "GlueClient":
        return self.session.client("glue", **self._options)

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        return self.session.client("logs", **self._options)

    @cached_property
    def s3(self) -> "S3Client":
        return self.session.client("s3", **self._options)

    @cached_property
    def athena(self) -> "AthenaClient":
        return self.session.client("athena", **self._options)

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        return self.session.client("secretsmanager", **self._options)


def read_environment(project: Path, name: str) -> Environment:
    """environments/NAME.yaml; a name that is not there is answered with those that are."""
    folder = project / "environments"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise failure(
            "--environment", f"there is no environment {name!r}", f"Use one of: {', '.join(known) or 'none yet'}"
        )
    return load_environment(folder / f"{name}.yaml")


def open_target(project: Path, environment_name: str, *, prefix: str = "") -> Target:
    """The target of a command; refuses real credentials that belong to another account than the environment's."""
    environment = read_environment(project, environment_name)
    names = Names(environment=environment.name, account=environment.account, region=environment.region, prefix=prefix)
    if environment.aws_endpoint_url is not None:
        return Target(project, environment, names, local_session(environment))
    session = Session(region_name=environment.region)
    account = session.client("sts").get_caller_identity()["Account"]
    if account != environment.account:
        raise failure(
            "AWS credentials",
            f"they are of account {account}, and environment {environment.name} is in {environment.account}",
            f"Sign in to {environment.account}, or choose another --environment",
        )
    return Target(project, environment, names, session)


def local_session(environment: Environment) -> Session:
    """A session for the local cloud: made-up credentials, and nothing read from the user's AWS files or variables."""
    core = BotocoreSession(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    # The emulator takes an access key of twelve digits as the account to work in.
    core.set_credentials(environment.account, "local")
    return Session(botocore_session=core, region_name=environment.region)
