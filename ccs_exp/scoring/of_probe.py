"""What comes of the probe's images, kept: beside it stands which of them could not be decoded, for who finds it later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ccs_exp.data.images.batches import ImageData
from ccs_exp.store import Members, Stages, json_as, kept

Value = TypeVar("Value")


def kept_of_probe(
    kind: str,
    key: Mapping[str, Any] | None,
    probe: ImageData,
    compute: Callable[[], Value],
    form: tuple[Callable[[Value], Mapping[str, bytes]], Callable[[Members], Value]],
    stages: Stages | None = None,
) -> Value:
    """`kept`, with what was skipped of `probe`. `form`: how a value is packed, and unpacked."""
    pack, unpack = form

    def packed(value: Value) -> dict[str, bytes]:
        return {**pack(value), "skipped": json.dumps(probe.skipped).encode()}

    def unpacked(members: Members) -> Value:
        value, probe.skipped = unpack(members), unpack_skipped(members)  # the second only where both can be read
        return value

    return kept(kind, key, compute, packed, unpacked, stages)


def unpack_skipped(members: Members) -> list[str]:
    """The probe images that could not be decoded."""
    skipped: list[str] = json_as(list[str], members["skipped"])
    return skipped
