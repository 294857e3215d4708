"""Where results that outlive a run are kept, each under a readable key of all that it depends on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """``CCS_EXP_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("CCS_EXP_CACHE") or platformdirs.user_cache_dir("ccs_exp"))


def kept_tensor(kind: str, key: Mapping[str, Any], compute: Callable[[], Tensor]) -> Tensor:
    """The tensor kept under `key`, on the CPU; computed and kept where there is none, or none that is whole.

    A store that cannot be written costs a warning, not the result. Jobs side by side may both compute an entry; either's is whole.
    """
    written = json.dumps(key, sort_keys=True, ensure_ascii=False)
    path = cache_dir() / kind / f"{hashlib.sha256(written.encode()).hexdigest()[:32]}.safetensors"
    found = _read(path, written)
    if found is not None:
        return found
    from safetensors.torch import save

    value = compute().cpu().contiguous()
    try:
        content = save({"value": value}, {"key": written, "sha256": _digest(value)})
        write_whole(path, content, choose="the environment variable CCS_EXP_CACHE")
    except CcsError as error:
        log.warning("The result is not kept for the next run: %s", error)
    return value


def _read(path: Path, key: str) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            metadata, value = file.metadata() or {}, file.get_tensor("value")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s) and is computed again.", path, " ".join(str(error).split()))
        return None
    if metadata.get("key") != key or metadata.get("sha256") != _digest(value):
        log.warning("%s is damaged (its content is not what was written) and is computed again.", path)
        return None
    return value


def _digest(value: Tensor) -> str:
    return hashlib.sha256(as_bytes(value)).hexdigest()


def as_bytes(value: Tensor) -> memoryview:
    """The numbers of a tensor, without its shape, for hashing."""
    import torch

    return memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
