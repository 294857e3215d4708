"""Members of entries: tensors as safetensors, which hold numbers and nothing that could run, and JSON of a shape that is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ccs_exp.store.entries import Members
from ccs_exp.store.stages import kept

if TYPE_CHECKING:
    from torch import Tensor

_FILE = "tensors.safetensors"


def kept_tensor(kind: str, key: Mapping[str, Any], compute: Callable[[], Tensor], shape: tuple[int | None, ...]) -> Tensor:
    """The tensor kept under `key`, on the CPU; computed and kept where there is none, or none of that shape (None: any length)."""
    return kept(
        kind,
        key,
        lambda: compute().cpu().contiguous(),
        lambda value: pack_tensors({"value": value}),
        lambda members: unpack_tensors(members, value=shape)["value"],
    )


def pack_tensors(tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    from safetensors.torch import save

    return {_FILE: save({name: value.cpu().contiguous() for name, value in tensors.items()})}


def unpack_tensors(members: Members, **shapes: tuple[int | None, ...]) -> dict[str, Tensor]:
    """The tensors of these names. Raises where one is absent, of another shape (None: any length), or not of floating-point numbers."""
    from safetensors.torch import load

    tensors = load(members[_FILE])
    for name, shape in shapes.items():
        if not tensors[name].is_floating_point():
            raise ValueError(f"{name} holds {tensors[name].dtype}")
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(there not in (asked, None) for asked, there in zip(found, shape, strict=True)):
            raise ValueError(f"{name} has the shape {found}, not {shape}")
    return tensors


def json_as(kind: Any, content: bytes) -> Any:
    """JSON as what `kind` is made of (dataclasses, lists ...), nothing converted. Raises ValueError where it is anything else."""
    from pydantic import TypeAdapter  # late: a finished job is answered without it

    return TypeAdapter(kind).validate_json(content, strict=True)


def as_bytes(value: Tensor) -> memoryview:
    """The numbers of a tensor, without its shape, for hashing."""
    import torch

    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
