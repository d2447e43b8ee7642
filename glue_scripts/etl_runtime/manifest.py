"""What a run intends to commit to the raw layer: written once, never changed, never taken for progress."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from etl_model.names import Names
from etl_runtime.context import manifest_location, read_manifest
from etl_runtime.errors import EtlError
from etl_runtime.iceberg import DataFile
from etl_runtime.state import RawState


@dataclass(frozen=True)
class TableIntent:
    """Files to append to a raw table and the state to set with them; expected_seq is the state that it follows."""

    table: str
    expected_seq: int
    state: RawState
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class Manifest:
    """The intent of a run, with what its later stages must use: the pipeline bundle and the artifact version."""

    run_id: str
    mode: str
    started_at: str
    pipeline_bundle: str
    artifact_version: str
    snapshots: dict[str, str] = field(default_factory=dict)
    tables: tuple[TableIntent, ...] = ()

    def write(self, s3: Any, names: Names, pipeline: str) -> None:
        """Raises EtlError when another attempt of the same run has written its own in the meantime."""
        bucket, key = manifest_location(names, pipeline, self.run_id)
        body = json.dumps(asdict(self), indent=1, sort_keys=True).encode()
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise
            raise EtlError(
                where=f"run {self.run_id}",
                what="another attempt of this run has written its manifest",
                way_out="Resume the run: it goes on from that manifest",
            ) from error


def load_manifest(s3: Any, names: Names, pipeline: str, run_id: str) -> Manifest | None:
    document = read_manifest(s3, names, pipeline, run_id)
    if document is None:
        return None
    tables = tuple(
        TableIntent(
            table=item["table"],
            expected_seq=item["expected_seq"],
            state=RawState(**item["state"]),
            files=tuple(DataFile(**file) for file in item["files"]),
        )
        for item in document.pop("tables")
    )
    return Manifest(**document, tables=tables)
