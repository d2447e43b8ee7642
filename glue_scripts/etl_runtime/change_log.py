"""What each load published, kept in S3 for the warehouse until it has acknowledged it: intent, never progress."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from etl_model.names import Names


@dataclass(frozen=True)
class PublishedChange:
    """Files of one published change of one table; after_seq is the loaded seq that it follows."""

    table: str
    kind: Literal["full", "delta", "append"]
    files: tuple[str, ...]
    rows: int
    seq: int
    after_seq: int
    run: str


def _key(pipeline: str, table: str, seq: int) -> str:
    return f"{pipeline}/_changes/{table}/{seq:010d}.json"


def write_change(s3: Any, names: Names, pipeline: str, change: PublishedChange) -> None:
    body = json.dumps(asdict(change)).encode()
    s3.put_object(Bucket=names.bucket("staging"), Key=_key(pipeline, change.table, change.seq), Body=body)


def changes_between(
    s3: Any, names: Names, pipeline: str, table: str, *, after: int, upto: int
) -> list[PublishedChange] | None:
    """The chain of changes from `after` to `upto`, oldest first; None when a link is missing or not a delta."""
    chain: list[PublishedChange] = []
    seq = upto
    while seq > after:
        try:
            body = s3.get_object(Bucket=names.bucket("staging"), Key=_key(pipeline, table, seq))["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        document = json.loads(body)
        change = PublishedChange(**{**document, "files": tuple(document["files"])})
        chain.insert(0, change)
        if change.kind == "full":
            # It needs nothing before it, but its files may have been compacted away since: only the newest serves.
            return chain if len(chain) == 1 else None
        seq = change.after_seq
    return chain if seq == after else None
