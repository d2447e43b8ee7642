"""A connection by its name in the pipeline file: metadata from the Glue connection, credentials from Secrets Manager."""

import json
from functools import lru_cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

from etl_model.connections import parse_glue_connection
from etl_model.environment import Connection
from etl_model.names import Names
from etl_runtime.errors import EtlError


def resolve_connection(name: str, names: Names) -> Connection:
    """The connection `name` as deployed; EtlError when it is not there."""
    glue_name = names.connection(name)
    try:
        found = boto3.client("glue", region_name=names.region).get_connection(Name=glue_name, HidePassword=True)[
            "Connection"
        ]
    except ClientError as error:
        raise EtlError(
            where=f"connection {name}",
            what=f"Glue connection {glue_name} cannot be read ({error.response['Error']['Code']})",
            way_out=f"Add it to environments/{names.environment}.yaml and deploy",
        ) from error
    return parse_glue_connection(found["ConnectionType"], {str(k): v for k, v in found["ConnectionProperties"].items()})


@lru_cache(maxsize=16)
def read_secret(secret: str, region: str) -> dict[str, Any]:
    """The secret's JSON. Cached for the life of the process, which is one run; never logged."""
    try:
        text = boto3.client("secretsmanager", region_name=region).get_secret_value(SecretId=secret)["SecretString"]
    except ClientError as error:
        raise EtlError(
            where=f"secret {secret}",
            what=f"it cannot be read ({error.response['Error']['Code']})",
            way_out="Create it in Secrets Manager, or grant the job's role access to it",
        ) from error
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EtlError(
            where=f"secret {secret}", what="it is not a JSON object", way_out='Store {"username": …, "password": …}'
        )
    return value
