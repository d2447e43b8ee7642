"""A Snowflake session by key pair, and statements on it. Needs no Spark."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from snowflake.connector.errors import Error as SnowflakeError

from etl_model.environment import SnowflakeConnection
from etl_runtime.errors import EtlError
from etl_runtime.warehouse.identifiers import warehouse_name

_LOCK_TIMEOUT_SECONDS = 600
_LOGIN_TIMEOUT_SECONDS = 60
# Of one request with its retries, not of a statement: a long one is polled.
_REQUEST_TIMEOUT_SECONDS = 300

Session = snowflake.connector.SnowflakeConnection
Rows = list[tuple[Any, ...]]


def connect(
    connection: SnowflakeConnection,
    secret: Mapping[str, Any],
    *,
    database: str | None = None,
    schema: str | None = None,
    query_tag: str = "",
) -> Session:
    """A session in UTC with autocommit. `secret` is {"user", "private_key": PEM}; EtlError when either side refuses."""
    where = f"Snowflake account {connection.account}"
    missing = [key for key in ("user", "private_key") if not secret.get(key)]
    if missing:
        raise EtlError(
            where=f"secret {connection.secret}",
            what=f"it lacks {' and '.join(missing)}",
            way_out='Store {"user": …, "private_key": PEM}',
        )
    address: dict[str, Any] = {"host": connection.host} if connection.host else {}
    names = {
        key: warehouse_name(name) for key, name in (("database", database), ("schema", schema)) if name is not None
    }
    with _explained(
        where, "Check account, user, role and public key (ALTER USER … SET RSA_PUBLIC_KEY), and the network"
    ):
        return snowflake.connector.connect(
            account=connection.account,
            user=str(secret["user"]),
            private_key=_private_key(str(secret["private_key"]), connection.secret),
            authenticator="SNOWFLAKE_JWT",
            role=connection.role,
            warehouse=connection.warehouse,
            port=connection.port,
            protocol=connection.protocol,
            autocommit=True,
            paramstyle="qmark",
            login_timeout=_LOGIN_TIMEOUT_SECONDS,
            network_timeout=_REQUEST_TIMEOUT_SECONDS,
            session_parameters={
                "QUERY_TAG": query_tag,
                # A time zone of the account must not move an instant while it is loaded or compared.
                "TIMEZONE": "UTC",
                # An account that folds quoted names would find "Order Id" nowhere.
                "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
                "ERROR_ON_NONDETERMINISTIC_MERGE": True,
                "LOCK_TIMEOUT": _LOCK_TIMEOUT_SECONDS,
                # What a killed job left running ends with it.
                "ABORT_DETACHED_QUERY": True,
                "CLIENT_TELEMETRY_ENABLED": False,
            },
            **address,
            **names,
        )


def query(connection: Session, sql: str, parameters: Sequence[Any] = ()) -> tuple[tuple[str, ...], Rows]:
    """(column names, rows) of one statement; `parameters` are bound to its question marks. EtlError when it fails."""
    with _explained("Snowflake", "See the query history of this user"), connection.cursor() as cursor:
        cursor.execute(sql, tuple(parameters) or None)
        columns = tuple(field.name for field in cursor.description or ())
        return columns, [tuple(row) for row in cursor.fetchall()]


def records(connection: Session, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of one statement by lowercase column name."""
    columns, rows = query(connection, sql, parameters)
    names = [name.lower() for name in columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def close_quietly(connection: Session) -> None:
    """Close a session that may be broken. Its open transaction ends now, not when Snowflake notices."""
    with contextlib.suppress(SnowflakeError, OSError):
        connection.cursor().execute("ROLLBACK")
    with contextlib.suppress(SnowflakeError, OSError):
        connection.close()


@contextlib.contextmanager
def _explained(where: str, way_out: str) -> Iterator[None]:
    try:
        yield
    except SnowflakeError as error:
        lines = str(error.msg or error).strip().splitlines() or ["it gave no reason"]
        raise EtlError(where=where, what=" ".join(lines)[:600].rstrip("."), way_out=way_out) from error


def _private_key(pem: str, secret: str) -> bytes:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        # Not chained: the parser's message may quote what it was given.
        raise EtlError(
            where=f"secret {secret}",
            what="private_key is not an unencrypted private key in PEM form",
            way_out="Store the file that `openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt` makes",
        ) from None
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
