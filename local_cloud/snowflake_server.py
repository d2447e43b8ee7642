"""The Snowflake double: fakesnow over HTTP on 127.0.0.1, databases kept as files, stages read from the emulator.

    python -m local_cloud.snowflake_server --port 4667 --state .local/snowflake --s3-endpoint http://127.0.0.1:4666

Connect with snowflake-connector-python as in production, but for host, port and protocol (any user and key will do):

    snowflake.connector.connect(account="local", user="ETL", private_key=<DER bytes>, host="127.0.0.1", port=4667,
                                protocol="http", database="ANALYTICS", schema="SALES")

Databases survive a restart; stages and table comments do not (create stages with CREATE OR REPLACE).
"""

import argparse
import io
import re
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fakesnow import info_schema, macros
from fakesnow.instance import FakeSnow
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import S3FileSystem
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from local_cloud import snowflake_fidelity

# Statements of an account that has roles and sessions; the double has neither.
_IGNORED = [r"^\s*alter\s+session", r"^\s*(remove|rm)\b", r"^\s*grant\b", r"^\s*use\s+(role|warehouse)\b"]


class _Stages(ArrowFSWrapper):  # type: ignore[misc]  # fsspec has no types
    """DuckDB reads `s3://` paths through pyarrow: its own httpfs extension would have to be downloaded."""

    protocol = "s3"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.split("://", 1)[-1]

    def unstrip_protocol(self, name: str) -> str:
        return name if name.startswith("s3://") else f"s3://{name}"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Whole into memory: many ranges of several files at once came out broken (files of 20 MB and more)."""
        if mode != "rb":
            return super()._open(path, mode, **options)
        with self.fs.open_input_stream(path) as stream:
            content = stream.read()
        size = self.fs.get_file_info(path).size
        if len(content) != size:
            raise OSError(f"s3://{path} has {size} bytes, and {len(content)} arrived")
        return io.BytesIO(content)


def serve(*, port: int, state: Path, s3_endpoint: str, region: str) -> None:
    """Serve until terminated. `state` holds one DuckDB file per Snowflake database."""
    state.mkdir(parents=True, exist_ok=True)
    snowflake_fidelity.apply()
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    # An extension that is not built in would be downloaded; that a laptop is offline must not change what works.
    instance = FakeSnow(db_path=state, nop_regexes=_IGNORED)
    instance.duck_conn.execute("SET GLOBAL autoinstall_known_extensions = false")
    # DuckDB's threads would share one Python file, and seek in it for one another.
    instance.duck_conn.execute("SET GLOBAL threads = 1")
    endpoint = urlsplit(s3_endpoint)
    stages = _Stages(
        S3FileSystem(
            endpoint_override=endpoint.netloc,
            scheme=endpoint.scheme,
            region=region,
            access_key="test",
            secret_key="test",
        )
    )
    instance.duck_conn.register_filesystem(stages)
    _attach_existing(instance, state)
    # By name: the package holds a function `server` beside the module `server`.
    fakesnow_server: Any = import_module("fakesnow.server")
    fakesnow_server.shared_fs = instance
    app = fakesnow_server.app
    app.router.routes.append(Route("/ready", _ready, methods=["GET"]))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2)


def _attach_existing(instance: FakeSnow, state: Path) -> None:
    """A database of an earlier start is there from the beginning, as in Snowflake."""
    for file in sorted(state.glob("*.db")):
        name = file.stem
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", name):
            continue
        escaped = str(file).replace("'", "''")
        instance.duck_conn.execute(f"ATTACH DATABASE '{escaped}' AS {name}")
        instance.duck_conn.execute(info_schema.per_db_creation_sql(name))
        instance.duck_conn.execute(macros.creation_sql(name))


async def _ready(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="local_cloud.snowflake_server", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--s3-endpoint", required=True)
    parser.add_argument("--region", default="us-east-1")
    given: Any = parser.parse_args(arguments)
    serve(port=given.port, state=given.state, s3_endpoint=given.s3_endpoint, region=given.region)


if __name__ == "__main__":
    main()
