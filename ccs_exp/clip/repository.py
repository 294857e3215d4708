"""Checkpoints that say what they are: a repository of the Hugging Face hub or a folder, with configuration, tokenizer and preprocessing.

Two formats are known, open_clip's (``open_clip_config.json``) and that of `transformers`' CLIP (``config.json``); weights are taken from
safetensors files alone. Nothing here needs torch, so that a finished job is answered without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs_exp.errors import CcsError
from ccs_exp.store import file_sha256

if TYPE_CHECKING:
    from ccs_exp.files.hub import Wanted

OPEN_CLIP, TRANSFORMERS = "open_clip_config.json", "config.json"
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
INDEX = "model.safetensors.index.json"
_VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
_TOKENIZER = (
    *_VOCABULARY,
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt", "bpe_simple_vocab_16e6.txt.gz"),
)
_DESCRIBING = (OPEN_CLIP, TRANSFORMERS, *PREPROCESSOR, INDEX, *_TOKENIZER)
_WEIGHTS = {OPEN_CLIP: ("open_clip_model.safetensors", "model.safetensors"), TRANSFORMERS: ("model.safetensors",)}
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_SCHEMES = ("hf-hub:", "local-dir:")


def repository_named(name: str, repository: bool = False) -> str | None:
    """The repository or folder that a model's name means: any name with ``model.repository``, else those with open_clip's prefixes."""
    for scheme in _SCHEMES:
        if name.startswith(scheme):
            return name.removeprefix(scheme)
    return name if repository else None


def fetched(named: str) -> Path:
    """The folder of a repository's files, which are downloaded where they are on the hub and not in its cache.

    `named` is a folder, or ``ORG/NAME``, or ``ORG/NAME@REVISION``. Raises `CcsError` where it is neither, or cannot be had.
    """
    local = Path(named).expanduser()
    if local.is_dir():
        return local
    from ccs_exp.files.hub import fetch, names_at

    described = _wanted(named, _DESCRIBING)
    folder = fetch(described)
    kind = _format(folder, named)
    shards = _shards(folder) if kind == TRANSFORMERS else []
    weights = shards or [name for name in _WEIGHTS[kind] if name in names_at(described)][:1]
    return fetch(_wanted(named, weights)) if weights else folder


def at_hand(named: str) -> Path | None:
    """The folder of a repository's files, as far as they are here: no network is asked. None where nothing is known of it."""
    local = Path(named).expanduser()
    if local.is_dir():
        return local
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    name, _, revision = named.partition("@")
    try:
        found = [try_to_load_from_cache(name, file, revision=revision or None) for file in (OPEN_CLIP, TRANSFORMERS)]
    except HFValidationError:
        return None
    return next((Path(file).parent for file in found if isinstance(file, str)), None)


def weights_files(folder: Path, named: str) -> list[Path]:
    """The safetensors files of the weights. Raises `CcsError` where there are none, or pickled ones alone."""
    kind = _format(folder, named)
    shards = _shards(folder) if kind == TRANSFORMERS else []
    files = [folder / name for name in shards] or [folder / name for name in _WEIGHTS[kind] if (folder / name).is_file()][:1]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CcsError(f"{named} lacks {', '.join(missing[:3])}, which its {INDEX} names. Fetch it again.")
    if not files:
        pickled = sorted(file.name for pattern in _PICKLED for file in folder.glob(pattern))
        why = f"only {pickled[0]}, which is pickled and can hold code" if pickled else "no weights"
        raise CcsError(
            f"{named} has {why}; expected is {' or '.join(_WEIGHTS[kind])}. Weights are read from safetensors alone: load the checkpoint "
            "where it is trusted and save it with save_pretrained(FOLDER), then pass that folder."
        )
    return files


def repository_sha256(folder: Path, named: str) -> str:
    """A digest of all files that the model depends on. Raises `CcsError` and `OSError` where they are not whole."""
    files = [folder / name for name in _DESCRIBING if (folder / name).is_file()] + weights_files(folder, named)
    return hashlib.sha256("".join(f"{file.name} {file_sha256(file)}\n" for file in files).encode()).hexdigest()


def configuration(folder: Path, named: str) -> tuple[str, dict[str, Any]]:
    """Which format it is, and its configuration.

    Raises `CcsError` for a configuration that cannot be read, or that asks for code of its own, which is never run.
    """
    kind = _format(folder, named)
    config = read_json(folder / kind, named)
    for file in (kind, "tokenizer_config.json"):
        if (folder / file).is_file() and _asks_for_code(read_json(folder / file, named)):
            raise CcsError(
                f"{named} asks for code of its own (in its {file}), which is never run. Choose a checkpoint of a class that "
                "transformers or open_clip has itself."
            )
    return kind, config


def check_vocabulary(folder: Path, named: str) -> None:
    """Raises `CcsError` where no file holds a vocabulary: transformers makes a tokenizer nonetheless, to which all texts are the same."""
    if not any((folder / name).is_file() for name in _VOCABULARY):
        raise CcsError(
            f"{named} has no tokenizer; expected beside the weights is tokenizer.json, or vocab.json and merges.txt. Save that of the "
            "model it was trained from there: transformers.AutoTokenizer.from_pretrained('ORG/NAME').save_pretrained(FOLDER)."
        )


def read_json(path: Path, named: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CcsError(f"{path.name} of {named} cannot be read: {' '.join(str(error).split())[:200]}. Fetch it again.") from error
    if not isinstance(found, dict):
        raise CcsError(f"{path.name} of {named} is a {type(found).__name__}, not a mapping. Fetch it again.")
    return found


def _asks_for_code(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_asks_for_code, node))
    return isinstance(node, dict) and bool(
        node.get("auto_map") or node.get("trust_remote_code") or any(map(_asks_for_code, node.values()))
    )


def _format(folder: Path, named: str) -> str:
    for kind in (OPEN_CLIP, TRANSFORMERS):
        if (folder / kind).is_file():
            return kind
    raise CcsError(
        f"{named} has neither {OPEN_CLIP} (open_clip) nor {TRANSFORMERS} (transformers), so it does not say what model it is. Name the "
        "folder that holds one of them, or a repository of the hub as ORG/NAME."
    )


def _shards(folder: Path) -> list[str]:
    if not (folder / INDEX).is_file():
        return []
    names = read_json(folder / INDEX, str(folder)).get("weight_map", {}).values()
    return sorted({Path(name).name for name in names})  # beside the index, whatever it says


def _wanted(named: str, files: Sequence[str]) -> Wanted:
    from ccs_exp.files.hub import Wanted

    name, _, revision = named.partition("@")
    instead = "It is no folder here either; repositories are named ORG/NAME. `ccs-exp prefetch` with the same settings fetches it."
    return Wanted(name, "model", revision or "main", tuple(files), instead)
