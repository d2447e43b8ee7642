"""The arguments that the EtlJob construct gives every job."""

from collections.abc import Sequence
from dataclasses import dataclass

from etl_model.names import Names
from etl_runtime.errors import EtlError


@dataclass(frozen=True)
class JobArguments:
    """Deployment, pipeline and artifacts of one job run, as strings from the command line."""

    environment: str
    account: str
    region: str
    prefix: str
    pipeline: str
    pipeline_bundle: str
    artifact_version: str
    job_run_id: str
    workflow_name: str | None
    workflow_run_id: str | None

    @property
    def names(self) -> Names:
        return Names(environment=self.environment, account=self.account, region=self.region, prefix=self.prefix)


def parse_arguments(argv: Sequence[str]) -> JobArguments:
    """`--key value` pairs, those of Glue itself included; a missing one is named."""
    given: dict[str, str] = {}
    words = list(argv)
    for position, word in enumerate(words):
        if word.startswith("--") and position + 1 < len(words):
            given[word[2:]] = words[position + 1]
    needed = ("environment", "account", "region", "pipeline", "pipeline_bundle", "artifact_version")
    missing = [f"--{key}" for key in needed if not given.get(key)]
    if missing:
        raise EtlError(
            where="job arguments",
            what=f"missing: {', '.join(missing)}",
            way_out="Deploy the job with the CDK app, which sets them",
        )
    # The value "-" stands for none: Glue refuses empty argument values.
    prefix = given.get("prefix", "-")
    return JobArguments(
        environment=given["environment"],
        account=given["account"],
        region=given["region"],
        prefix="" if prefix == "-" else prefix,
        pipeline=given["pipeline"],
        pipeline_bundle=given["pipeline_bundle"],
        artifact_version=given["artifact_version"],
        job_run_id=given.get("JOB_RUN_ID", "local"),
        workflow_name=given.get("WORKFLOW_NAME"),
        workflow_run_id=given.get("WORKFLOW_RUN_ID"),
    )
