"""The Snowflake double's side of a login: a generated key pair, and a connection for tests and the demo."""

import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

USER = "ETL"


def secret(folder: Path) -> str:
    """The SecretString {"user", "private_key": PEM}, made once and kept in `folder`/snowflake.json (mode 600)."""
    file = folder / "snowflake.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump({"user": USER, "private_key": pem.decode()}, stream)
    return file.read_text()


def connect(secret_string: str, *, host: str, port: int, account: str = "local", **session: Any) -> Any:
    """A snowflake-connector-python connection by key pair; `session` takes database, schema, autocommit and so on."""
    import snowflake.connector

    login = json.loads(secret_string)
    key = serialization.load_pem_private_key(login["private_key"].encode(), password=None)
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return snowflake.connector.connect(
        account=account,
        user=login["user"],
        private_key=der,
        host=host,
        port=port,
        protocol="http",
        # No telemetry, no certificate revocation look-ups: nothing of this leaves the machine.
        session_parameters={"CLIENT_TELEMETRY_ENABLED": False},
        insecure_mode=True,
        **session,
    )
