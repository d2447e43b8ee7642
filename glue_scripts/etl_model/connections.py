"""A connection as Glue stores it: written by the CDK app, read back by the jobs. One module, so that they agree."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import TypeAdapter

from etl_model.environment import Connection, PostgreSQLConnection, SnowflakeConnection

_ADAPTER: TypeAdapter[Connection] = TypeAdapter(Connection)


def glue_connection_properties(connection: Connection) -> tuple[str, dict[str, Any]]:
    """(ConnectionType, ConnectionProperties) of a Glue connection; holds the secret's name, never its value."""
    if isinstance(connection, PostgreSQLConnection):
        host = f"[{connection.host}]" if ":" in connection.host else connection.host
        url = (
            f"jdbc:postgresql://{host}:{connection.port}/{quote(connection.database, safe='')}?sslmode={connection.tls}"
        )
        return "JDBC", {"JDBC_CONNECTION_URL": url, "SECRET_ID": connection.secret}
    options = connection.model_dump(exclude_none=True, exclude={"kind", "network", "secret"})
    return "SNOWFLAKE", {
        "SparkProperties": json.dumps({"secretId": connection.secret, **options}, sort_keys=True, separators=(",", ":"))
    }


def parse_glue_connection(connection_type: str, properties: Mapping[str, str]) -> Connection:
    """The connection that `glue_connection_properties` described; ValueError for one that it did not write."""
    if connection_type == "JDBC":
        url = urlsplit(properties["JDBC_CONNECTION_URL"].removeprefix("jdbc:"))
        if url.scheme != "postgresql":
            raise ValueError(f"JDBC URL of kind {url.scheme!r}; supported: postgresql")
        return PostgreSQLConnection(
            kind="postgresql",
            host=url.hostname or "",
            port=url.port or 5432,
            database=unquote(url.path.lstrip("/")),
            secret=properties["SECRET_ID"],
            tls=parse_qs(url.query)["sslmode"][0],  # type: ignore[arg-type]  # validated by the model
        )
    if connection_type == "SNOWFLAKE":
        options = json.loads(properties["SparkProperties"])
        connection = _ADAPTER.validate_python({"kind": "snowflake", "secret": options.pop("secretId"), **options})
        assert isinstance(connection, SnowflakeConnection)
        return connection
    raise ValueError(f"Glue connection of type {connection_type!r}; supported: JDBC, SNOWFLAKE")
