"""Tensors as members of entries: safetensors, which hold numbers and nothing that could run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ccs_exp.store.entries import Members
from ccs_exp.store.stages import kept

if TYPE_CHECKING:
    from torch import Tensor

_FILE = "tensors.safetensors"


def kept_tensor(kind: str, key: Mapping[str, Any], compute: Callable[[], Tensor]) -> Tensor:
    """The tensor kept under `key`, on the CPU; computed and kept where there is none, or none that is whole."""
    return kept(
        kind,
        key,
        lambda: compute().cpu().contiguous(),
        lambda value: pack_tensors({"value": value}),
        lambda members: unpack_tensors(members)["value"],
    )


def pack_tensors(tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    from safetensors.torch import save

    return {_FILE: save({name: value.cpu().contiguous() for name, value in tensors.items()})}


def unpack_tensors(members: Members) -> dict[str, Tensor]:
    from safetensors.torch import load

    return load(members[_FILE])


def as_bytes(value: Tensor) -> memoryview:
    """The numbers of a tensor, without its shape, for hashing."""
    import torch

    return memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
