"""A connection's secret, read from Secrets Manager. Its values go into a login and nowhere else."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from operations.failures import error_code, failure
from operations.target import Target


def read_secret(target: Target, secret: str, *, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """The secret's JSON object, which has all `keys`; OperationError that names what is missing, never a value."""
    way_out = f"Store a JSON object with the keys {', '.join(keys)}"
    try:
        text = target.secretsmanager.get_secret_value(SecretId=secret)["SecretString"]
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        raise failure(f"secret {secret}", "it is not in Secrets Manager", way_out) from None
    try:
        login = json.loads(text)
    except ValueError:
        # Not chained: the parser's message may quote what it was given.
        raise failure(f"secret {secret}", "it is not JSON", way_out) from None
    missing = [key for key in keys if not isinstance(login, dict) or not login.get(key)]
    if missing:
        raise failure(f"secret {secret}", f"it has no {' and no '.join(missing)}", way_out)
    return dict(login)
