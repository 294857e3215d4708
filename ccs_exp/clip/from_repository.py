"""Loading a model from a repository or folder that says itself what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import image_transform_v2
from torchvision.transforms import Compose, Resize

from ccs_exp.clip import transformers_clip
from ccs_exp.clip.hugging_face import from_hugging_face
from ccs_exp.clip.kinds import check_encoder
from ccs_exp.clip.model import ClipModel, WeightsOrigin
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.preprocessing import preprocess_settings
from ccs_exp.clip.repository import OPEN_CLIP, check_vocabulary, configuration, fetched, repository_sha256, weights_files
from ccs_exp.clip.transformers_preprocessing import CenterCropDown, transformers_preprocessing
from ccs_exp.clip.weights import load_weights, quiet_open_clip
from ccs_exp.errors import CcsError


def load_repository(
    named: str, variant: str | None, preprocess: Mapping[str, Any] | None, seed: int, device: str | torch.device
) -> ClipModel:
    """A model with its own weights, tokenizer and preprocessing; `preprocess` overrides the latter. Raises `CcsError`."""
    folder = fetched(named)
    kind, config = configuration(folder, named)
    files = weights_files(folder, named)
    clip = build_repository(folder, named, seed)
    check_encoder(clip, named)
    edge: int | None = None
    if kind == OPEN_CLIP:
        load_weights(clip, files[0], named, None, str(files[0]))
        own = config.get("preprocess_cfg") or {}
        if config["model_cfg"].get("text_cfg", {}).get("hf_tokenizer_name"):
            check_vocabulary(folder, named)  # open_clip reads it from the folder, whatever that name says
        with from_hugging_face(f"local-dir:{folder}", "hf_tokenizer_name"):
            tokenizer: Callable = open_clip.get_tokenizer(f"local-dir:{folder}")
    else:
        transformers_clip.load_weights(clip, files, named)
        own, edge = transformers_preprocessing(folder, clip, named)
        tokenizer = transformers_clip.tokenizer(folder, clip, named)
    transform = image_transform_v2(preprocess_settings(clip, own, preprocess), is_train=False)
    if edge is not None and isinstance(transform, Compose):
        resize, crop, *others = transform.transforms
        steps = [Resize(edge, interpolation=resize.interpolation), CenterCropDown(crop.size)]
        transform = Compose([*steps, *others])
    origin = WeightsOrigin(named, repository_sha256(folder, named), repository=True)
    return ClipModel(clip.to(device), tokenizer, transform, variant or named, origin)


def build_repository(folder: Path, named: str, seed: int = 0) -> OpenClip:
    """The model of a repository with random weights, on the CPU."""
    kind, config = configuration(folder, named)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            if kind != OPEN_CLIP:
                return transformers_clip.built(config, named)
            with quiet_open_clip(), from_hugging_face(f"local-dir:{folder}", "hf_model_name"):
                return open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
        except (TypeError, KeyError, ValueError, RuntimeError, AssertionError, AttributeError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())
            raise CcsError(
                f"The configuration of {named} ({kind}) does not give a model ({type(error).__name__}: {reason[:200]}). Fetch it again."
            ) from error
