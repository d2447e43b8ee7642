"""Progress, stored in the table that it describes, in the commit that it describes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

RAW_STATE = "etl.state"
LOADED_STATE = "etl.loaded"
STAGED_STATE = "etl.staged"
MART_STATE = "etl.mart"


@dataclass(frozen=True)
class RawState:
    """Of a raw table: the newest committed extract.

    seq counts committed extracts from 1; watermark is the cursor's text; the fingerprints are of the bytes read from the
    source, to tell a run with nothing to do; reading is a hash of what was read and how, which they hold for; counts are those of the commit, so that a repeated stage can report them.
    """

    seq: int = 0
    run: str = ""
    kind: str = ""
    watermark: str | None = None
    fingerprint: str | None = None
    keys_fingerprint: str | None = None
    reading: str = ""
    key_is_unique: bool = False
    source_rows: int = 0
    unchanged_rows: int = 0
    raw_rows: int = 0
    deleted_rows: int = 0

    def to_properties(self) -> dict[str, str]:
        return {RAW_STATE: json.dumps(asdict(self), sort_keys=True)}


@dataclass(frozen=True)
class StagedState:
    """Of a staging or __valid table: which raw rows of which run it holds, in (from_seq, to_seq]."""

    run: str
    from_seq: int
    to_seq: int
    counts: dict[str, int]

    def to_properties(self) -> dict[str, str]:
        return {STAGED_STATE: json.dumps(asdict(self), sort_keys=True)}


@dataclass(frozen=True)
class LoadedState:
    """Of a curated table: the raw seq up to which it is loaded, by which run, with which counts."""

    loaded_seq: int = 0
    run: str = ""
    counts: dict[str, int] | None = None

    def to_properties(self) -> dict[str, str]:
        return {LOADED_STATE: json.dumps(asdict(self), sort_keys=True)}


@dataclass(frozen=True)
class MartState:
    """Of a mart: what it was computed from. seq counts its publications."""

    seq: int = 0
    run: str = ""
    sql: str = ""
    inputs: dict[str, int] | None = None

    def to_properties(self) -> dict[str, str]:
        return {MART_STATE: json.dumps(asdict(self), sort_keys=True)}


def _read(properties: Mapping[str, str] | None, key: str) -> dict[str, Any] | None:
    text = properties.get(key) if properties else None
    return json.loads(text) if text else None


def raw_state(properties: Mapping[str, str] | None) -> RawState:
    found = _read(properties, RAW_STATE)
    return RawState(**found) if found else RawState()


def staged_state(properties: Mapping[str, str] | None) -> StagedState | None:
    found = _read(properties, STAGED_STATE)
    return StagedState(**found) if found else None


def loaded_state(properties: Mapping[str, str] | None) -> LoadedState:
    found = _read(properties, LOADED_STATE)
    return LoadedState(**found) if found else LoadedState()


def mart_state(properties: Mapping[str, str] | None) -> MartState:
    found = _read(properties, MART_STATE)
    return MartState(**found) if found else MartState()
