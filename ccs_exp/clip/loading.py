"""Building and loading CLIP models: bundled, from the hub's cache or download, from a local checkpoint, or with random weights."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME, download_pretrained, get_pretrained_cfg
from open_clip.transform import image_transform_v2
from open_clip.transformer import QuickGELU

from ccs_exp.clip.from_repository import build_repository, load_repository
from ccs_exp.clip.hugging_face import from_hugging_face
from ccs_exp.clip.kinds import check_encoder
from ccs_exp.clip.model import ClipModel, WeightsOrigin
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.preprocessing import preprocess_settings
from ccs_exp.clip.repository import at_hand, repository_named
from ccs_exp.clip.weights import load_weights, quiet_open_clip, undrawn
from ccs_exp.errors import CcsError, NotHere
from ccs_exp.files import ASSETS
from ccs_exp.files.hub import Wanted, fetch, names_at

_OF_TOWERS = (".npz", ".npy")  # weights of another library, which open_clip takes without asking whether they are all of its own


def load_clip(
    name: str,
    pretrained: str | None = None,
    *,
    variant: str | None = None,
    weights: str | Path | None = None,
    architecture: str | None = None,
    repository: bool = False,
    preprocess: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ClipModel:
    """Load a CLIP model by its open_clip name, or by the repository or folder that holds all of it.

    Args:
        name: open_clip's architecture, e.g. ``ViT-B-32-quickgelu``; with `repository` a folder or ``ORG/NAME`` on the hub, in the
            format of open_clip or of `transformers`' CLIP. ``hf-hub:ORG/NAME`` and ``local-dir:FOLDER`` are such names too.
        pretrained: open_clip's tag of a checkpoint; fixes the image preprocessing too. With neither tag nor `weights` the
            weights are random, drawn from `seed`.
        variant: what results call the model; ``<name>/<pretrained>`` if not given.
        weights: a local checkpoint of that architecture, or ``bundled:FILE`` for one in the package.
        architecture: an open_clip model configuration in the package, for architectures that open_clip does not know.
        preprocess: overrides of open_clip's preprocessing (size, mean, std, interpolation ...), for checkpoints without a tag.

    Raises:
        CcsError: unknown architecture or tag, missing or unreadable weights, weights of another architecture, an activation
            that does not fit the checkpoint, an unsupported image encoder.
    """
    named = repository_named(name, repository)
    if named is not None:
        if pretrained is not None or weights is not None or architecture is not None:
            raise CcsError(f"{named} brings its own weights and configuration: leave out model.pretrained, .weights and .architecture.")
        return load_repository(named, variant, preprocess, seed, device)
    if architecture is not None:
        open_clip.add_model_config(ASSETS / architecture)
    tag = _pretrained_tag(name, pretrained)
    whole = pretrained is not None or (weights is not None and not str(weights).endswith(_OF_TOWERS))
    with undrawn() if whole else nullcontext():
        clip = _build(name, seed, device)
    check_encoder(clip, name)
    _check_activation(clip, name, pretrained, tag)
    if weights is not None:
        bundled = str(weights).startswith("bundled:")
        path = ASSETS / str(weights).removeprefix("bundled:") if bundled else Path(weights).expanduser()
        if not path.is_file():
            raise CcsError(
                f"model.weights={weights}: there is no such file. Give a checkpoint of {name} (safetensors, .bin or .pt)."
            )
        origin = load_weights(clip, path, name, pretrained, described=str(weights))
    elif pretrained is not None and tag is not None:
        path = _download(name, pretrained, tag)
        origin = load_weights(clip, path, name, pretrained, described=f"{name}/{pretrained}")
    else:
        origin = WeightsOrigin(f"random weights (seed {seed})", None)
    transform = image_transform_v2(preprocess_settings(clip, tag, preprocess), is_train=False)
    tokenizer = _tokenizer(name, architecture)
    return ClipModel(clip, tokenizer, transform, variant or f"{name}/{pretrained or 'random'}", origin)


def _pretrained_tag(name: str, pretrained: str | None) -> dict | None:
    if pretrained is None:
        return None
    tag = get_pretrained_cfg(name, pretrained)
    if not tag:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise CcsError(
            f"open_clip has no checkpoint {pretrained!r} of {name}. Known for it: {known}. Set model.pretrained to one of them."
        )
    return tag


def _build(name: str, seed: int, device: str | torch.device) -> OpenClip:
    if name not in open_clip.list_models():
        close = difflib.get_close_matches(name, open_clip.list_models(), n=8)
        raise CcsError(f"open_clip has no model {name!r}. Similar names: {', '.join(close) or 'none'}. Set model.name.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nowhere = torch.device("meta") if str(device) == "meta" else nullcontext()  # there, numbers are not even drawn
        with quiet_open_clip(), from_hugging_face(name, "hf_model_name"), nowhere:
            return open_clip.create_model(name, pretrained=None, pretrained_text=False, device=device)


def unloaded(name: str, architecture: str | None = None, repository: bool = False) -> OpenClip:
    """The model without its weights, on torch's meta device; nothing is downloaded.

    Raises `CcsError` for a name that open_clip does not know, or a repository that is not here.
    """
    named = repository_named(name, repository)
    if named is not None:
        folder = at_hand(named)
        if folder is None:
            raise CcsError(f"{named} is neither a folder nor in the hub's cache, so its shape is not known before it is fetched.")
        return build_repository(folder, named).to("meta")
    if architecture is not None:
        open_clip.add_model_config(ASSETS / architecture)
    with undrawn():  # for the drawing of no numbers, too, torch would import its compiler
        return _build(name, 0, "meta")


def _check_activation(clip: OpenClip, name: str, pretrained: str | None, tag: Mapping[str, Any] | None) -> None:
    """Weights trained with QuickGELU lose several points under GELU, silently; so a mismatch is refused."""
    if tag is None or not hasattr(clip.visual, "transformer"):
        return
    wanted = bool(tag.get("quick_gelu"))
    activation = type(clip.visual.transformer.resblocks[0].mlp.gelu)
    if wanted != (activation is QuickGELU):
        fitting = f"{name}-quickgelu" if wanted else name.removesuffix("-quickgelu")
        raise CcsError(
            f"The checkpoint {pretrained!r} was trained with {'QuickGELU' if wanted else 'GELU'}, but {name} has "
            f"{activation.__name__}. Use model.name={fitting}."
        )


def _download(name: str, pretrained: str, tag: Mapping[str, Any]) -> Path:
    try:
        wanted = wanted_weights(tag)
        return fetch(wanted) / wanted.patterns[0] if wanted else Path(download_pretrained(dict(tag)))
    except (CcsError, OSError, RuntimeError) as error:
        repository = str(tag.get("hf_hub", "")).strip("/") or tag.get("url", "its publisher")
        kind = NotHere if isinstance(error, NotHere) else CcsError
        raise kind(
            f"The checkpoint {pretrained!r} of {name} is neither in the hub's cache nor can it be downloaded: "
            f"{' '.join(str(error).split())[:300] or type(error).__name__} It is published as {repository}; expected is its "
            f"open_clip_model.safetensors or {HF_WEIGHTS_NAME}. Connect to the network once, or fetch that file and pass "
            "model.weights=FILE, or try the plumbing with model.pretrained=null (random weights)."
        ) from error


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


def _tokenizer(name: str, architecture: str | None) -> Callable:
    if architecture is None:
        with from_hugging_face(name, "hf_tokenizer_name"):
            return open_clip.get_tokenizer(name)
    config_file = ASSETS / architecture
    text = json.loads(config_file.read_text())["text_cfg"]
    options = dict(text.get("tokenizer_kwargs", {}))
    if "bpe_path" in options:  # relative to the configuration, so that the package can be installed anywhere
        options["bpe_path"] = str(config_file.parent / options["bpe_path"])
    return open_clip.SimpleTokenizer(context_length=text["context_length"], **options)
