"""W&B's record of a run as a file: a header of 7 bytes, then a log in LevelDB's format of protobuf messages.

Read and written because a record that is made of finished rows takes the seconds of its own making for those of the job, and W&B has no
setting for it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

_BLOCK, _FILE_HEADER, _HEADER = 32 * 1024, 7, 7  # a part's header: checksum 4, length 2, kind 1
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def begin_earlier(path: Path, seconds: float) -> None:
    """Let the run of a record have begun, and taken, so many seconds more."""
    path.write_bytes(written(path.read_bytes(), (_longer(message, seconds) for message in list(read(path)))))


def _longer(message: bytes, seconds: float) -> bytes:
    from wandb.proto import wandb_internal_pb2

    record: Any = vars(wandb_internal_pb2)["Record"].FromString(message)  # made when it is imported
    match record.WhichOneof("record_type"):
        case "run":
            record.run.start_time.FromDatetime(record.run.start_time.ToDatetime() - timedelta(seconds=seconds))
        case "history":
            _add(record.history.item, seconds)
        case "summary":
            _add(record.summary.update, seconds)
        case "exit":
            record.exit.runtime += round(seconds)
    return record.SerializeToString()


def _add(items: Any, seconds: float) -> None:
    for item in items:
        if [item.key or item.nested_key[0], *item.nested_key[1:]] in (["_runtime"], ["_wandb", "runtime"]):
            item.value_json = json.dumps(round(json.loads(item.value_json) + seconds, 3))


def read(path: Path) -> Iterator[bytes]:
    """The messages, those that were split over blocks put together. Raises ValueError where the log is damaged."""
    data, at, parts = path.read_bytes(), _FILE_HEADER, b""
    while at + _HEADER <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _HEADER:
            at += left
            continue
        checksum, length, kind = (int.from_bytes(data[at + a : at + b], "little") for a, b in ((0, 4), (4, 6), (6, 7)))
        part = data[at + _HEADER : at + _HEADER + length]
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or checksum != _checksum(kind, part):
            raise ValueError(f"{path} is damaged at byte {at}")
        at, parts = at + _HEADER + length, parts + part
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""


def written(header: bytes, messages: Iterator[bytes]) -> bytes:
    """A log of these messages, after the file header of another."""
    log = bytearray(header[:_FILE_HEADER])
    for message in messages:
        first = True
        while first or message:
            if (left := _BLOCK - len(log) % _BLOCK) < _HEADER:
                log += bytes(left)
                continue
            part, message = message[: left - _HEADER], message[left - _HEADER :]
            kind = (_FIRST if message else _WHOLE) if first else (_MIDDLE if message else _LAST)
            log += _checksum(kind, part).to_bytes(4, "little") + len(part).to_bytes(2, "little") + bytes([kind]) + part
            first = False
    return bytes(log)


def _checksum(kind: int, part: bytes) -> int:
    return zlib.crc32(part, zlib.crc32(bytes([kind])))
