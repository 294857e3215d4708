"""What identifies a model's weights, told without loading them: a finished job is answered without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ccs_exp.clip.repository import at_hand, repository_named, repository_sha256
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS
from ccs_exp.store import Members, code_of, file_sha256, read_entry, write_entry

WEIGHTS = "weights"  # the kind of entry that says where the checkpoint of a tag lies


def weights_file(cfg: DictConfig) -> Path | None:
    """The local file that the model's weights come from, where the configuration names one."""
    named = cfg.model.weights
    if named is None:
        return None
    return ASSETS / named.removeprefix("bundled:") if named.startswith("bundled:") else Path(named).expanduser()


def known_weights(cfg: DictConfig) -> str | None:
    """A file's SHA-256, that of a repository's files, or the seed of random weights.

    None where it is not known without loading them: no job has opened the checkpoint of that tag here, or its file is not there any
    more as it was.
    """
    path = weights_file(cfg)
    if path is not None:
        return file_sha256(path) if path.is_file() else None
    named = repository_named(cfg.model.name, cfg.model.repository)
    if named is not None:
        folder = at_hand(named)
        try:
            return None if folder is None else repository_sha256(folder, named)
        except (CcsError, OSError):
            return None
    if cfg.model.pretrained is None:
        return random_weights(cfg)
    remembered = read_entry(WEIGHTS, _tag(cfg), unpack_weights)
    if remembered is None:
        return None
    path, sha256 = remembered
    return sha256 if path.is_file() and file_sha256(path) == sha256 else None


def random_weights(cfg: DictConfig) -> str:
    return f"random, seed {cfg.seed}"


def remember_weights(cfg: DictConfig, path: Path, sha256: str) -> None:
    """Where the checkpoint of the model's tag lies, for `known_weights` of later jobs."""
    if read_entry(WEIGHTS, _tag(cfg), unpack_weights) != (path, sha256):
        write_entry(WEIGHTS, _tag(cfg), {"file": json.dumps({"path": str(path), "sha256": sha256}).encode()})


def unpack_weights(members: Members) -> tuple[Path, str]:
    """Path and SHA-256 of a checkpoint."""
    found = json.loads(members["file"])
    path, sha256 = found["path"], found["sha256"]
    if not isinstance(path, str) or not isinstance(sha256, str):
        raise ValueError(f"{found} names no file")
    return Path(path), sha256


def _tag(cfg: DictConfig) -> dict[str, Any]:
    open_clip = code_of("ccs_exp.clip.loading")["libraries"]["open_clip_torch"]
    return {"name": cfg.model.name, "pretrained": cfg.model.pretrained, "open_clip": open_clip}
