"""Reads a W&B offline record: a file header of 7 bytes, then a log in LevelDB's format of protobuf messages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 32 * 1024
_FILE_HEADER, _RECORD_HEADER = 7, 7  # a record's: checksum 4, length 2, type 1
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class WandbRecord:
    """What a run's record holds. `summary` has nested keys joined by dots; `files` are those that it names, `missing` of them not there."""

    run_id: str = ""
    name: str = ""
    group: str = ""
    project: str = ""
    job_type: str = ""
    host: str = ""
    started: float = 0.0
    runtime: int = 0
    files: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def messages(path: Path) -> list[bytes]:
    """The payloads of the log, those that were split over blocks put together."""
    data, position, found, parts = path.read_bytes(), _FILE_HEADER, [], []
    while position + _RECORD_HEADER <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _RECORD_HEADER:
            position += left
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        position += _RECORD_HEADER
        parts.append(data[position : position + length])
        position += length
        assert kind in (_FULL, _FIRST, _MIDDLE, _LAST), f"unknown record type {kind}"
        if kind in (_FULL, _LAST):
            found.append(b"".join(parts))
            parts = []
    return found


def read_record(folder: Path) -> WandbRecord:
    """The one record in ``<folder>/wandb``."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/*run-*/run-*.wandb")
    result = WandbRecord()
    for payload in messages(path):
        record = Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            result.run_id, result.name, result.group, result.project = run.run_id, run.display_name, run.run_group, run.project
            result.tags, result.job_type, result.host = list(run.tags), run.job_type, run.host
            result.started = run.start_time.ToMicroseconds() / 1e6
            result.config |= {_key(item): json.loads(item.value_json) for item in run.config.update}
        elif kind == "config":
            result.config |= {_key(item): json.loads(item.value_json) for item in record.config.update}
        elif kind == "history":
            result.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            result.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "files":
            result.files += [file.path for file in record.files.files]
        elif kind == "artifact":
            result.artifacts.append(record.artifact.name)
        elif kind == "exit":
            result.exit_code, result.runtime = record.exit.exit_code, record.exit.runtime
    result.missing = [name for name in result.files if not (path.parent / "files" / name).is_file()]
    return result


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)
