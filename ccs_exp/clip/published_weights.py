"""The file of a published checkpoint, as open_clip's tags name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME, get_pretrained_cfg

from ccs_exp.errors import CcsError
from ccs_exp.files.hub import Wanted, names_at


def wanted_weights(tag: Mapping[str, Any]) -> Wanted | None:
    """The one file of a tag: safetensors where its repository has them, as open_clip chooses. None for what is not on the hub.

    Raises `CcsError` where the repository cannot be reached and is not in the hub's cache, or has no such file.
    """
    repository, _, named = str(tag.get("hf_hub", "")).rpartition("/")
    if not repository:
        return None
    file = named or HF_WEIGHTS_NAME
    safe = HF_SAFE_WEIGHTS_NAME if file == HF_WEIGHTS_NAME else f"{file.rpartition('.')[0]}.safetensors"
    there = names_at(Wanted(repository, "model", "main", (safe, file)))
    chosen = next((name for name in (safe, file) if name in there), None)
    if chosen is None:
        raise CcsError(f"{repository} has neither {safe} nor {file}.")
    return Wanted(repository, "model", "main", (chosen,))


def wanted_of_tag(name: str, pretrained: str) -> Wanted | None:
    """What `wanted_weights` says of an architecture's tag; None for one that open_clip does not know."""
    tag = get_pretrained_cfg(name, pretrained)
    return wanted_weights(tag) if tag else None
