"""Connections to PostgreSQL, with the session settings that make COPY's text exact."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg2
import psycopg2.errors

from etl_model.environment import PostgreSQLConnection
from etl_runtime.connections import read_secret
from etl_runtime.errors import EtlError

# synchronize_seqscans: the same rows come in the same order, so that fingerprints of two reads can be compared.
# row_security off: a policy that would hide rows becomes an error.
SESSION = """
set timezone = 'UTC';
set datestyle = 'ISO, YMD';
set intervalstyle = 'iso_8601';
set bytea_output = 'hex';
set extra_float_digits = 3;
set client_encoding = 'UTF8';
set synchronize_seqscans = off;
set row_security = off;
set statement_timeout = 0;
set lock_timeout = '60s';
set idle_in_transaction_session_timeout = 0;
"""


@contextmanager
def connected(name: str, connection: PostgreSQLConnection, *, region: str) -> Iterator[Any]:
    """A psycopg2 connection, closed at the end; EtlError that names the connection when it cannot be made."""
    secret = read_secret(connection.secret, region)
    for key in ("username", "password"):
        if not isinstance(secret.get(key), str):
            raise EtlError(
                where=f"secret {connection.secret}",
                what=f"it has no {key!r}",
                way_out='Store {"username": …, "password": …}',
            )
    options: dict[str, Any] = {"sslmode": connection.tls}
    if connection.tls != "disable":
        options["sslrootcert"] = _authorities(secret.get("ca_certificate"))
    where = f"connection {name} ({connection.host}:{connection.port}/{connection.database})"
    try:
        opened = psycopg2.connect(
            host=connection.host,
            port=connection.port,
            dbname=connection.database,
            user=secret["username"],
            password=secret["password"],
            application_name="etl",
            connect_timeout=15,
            keepalives_idle=30,
            **options,
        )
    except psycopg2.OperationalError as error:
        raise _unreachable(where, connection, error) from error
    try:
        with opened.cursor() as cursor:
            cursor.execute(SESSION)
        opened.commit()
        yield opened
    finally:
        opened.close()


@lru_cache(maxsize=16)
def _authorities(pem: str | None) -> str:
    """The CA bundle to verify the server with: the secret's own, or the system's. One file for each process."""
    if not pem:
        return "system"
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(pem)
    return file.name


def _unreachable(where: str, connection: PostgreSQLConnection, error: psycopg2.OperationalError) -> EtlError:
    text = str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
    if "password authentication failed" in text or "no password supplied" in text:
        return EtlError(
            where=where,
            what=f"the database refused the login ({text})",
            way_out=f"Correct username and password in the secret {connection.secret}",
        )
    if "does not exist" in text:
        return EtlError(where=where, what=text, way_out="Correct the database name in the environment file, and deploy")
    return EtlError(
        where=where,
        what=f"the database cannot be reached ({text})",
        way_out="Check host and port in the environment file, that the server runs, and that the job's network reaches it",
    )
