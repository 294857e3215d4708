"""A checkpoint's preprocessing: its settings, with other statistics, or in two parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, Normalize, ToTensor

from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.errors import CcsError


def preprocess_settings(clip: OpenClip, tag: Mapping[str, Any] | None, overrides: Mapping[str, Any] | None) -> PreprocessCfg:
    """The checkpoint's own image preprocessing: the tag's, also for weights from a file, then the overrides."""
    settings = merge_preprocess_dict(asdict(PreprocessCfg()), dict(tag or {}))
    settings = merge_preprocess_dict(settings, {"size": clip.visual.image_size})
    unknown = set(overrides or {}) - set(settings)
    if unknown:
        raise CcsError(f"model.preprocess has no {', '.join(sorted(unknown))}; it knows {', '.join(settings)}.")
    return PreprocessCfg(**merge_preprocess_dict(settings, dict(overrides or {})))


def with_openai_statistics(transform: Callable) -> Callable:
    """The same steps, normalised by OpenAI's numbers: what the paper's video retrieval does for every model.

    Raises `CcsError` if `transform` is not made of steps with one normalisation among them.
    """
    steps = transform.transforms if isinstance(transform, Compose) else []
    if sum(isinstance(step, Normalize) for step in steps) != 1:
        raise CcsError(
            "protocol=paper needs a model whose preprocessing normalises once, as open_clip's do. Use protocol=standard."
        )
    openai = Normalize(OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    return Compose([openai if isinstance(step, Normalize) else step for step in steps])


def has_steps(transform: Callable) -> TypeGuard[Compose]:
    """Whether `parted` knows the transform's parts."""
    return isinstance(transform, Compose) and sum(isinstance(step, ToTensor) for step in transform.transforms) == 1


def parted(transform: Callable) -> tuple[Compose, Compose]:
    """The steps from an image to the picture that the encoder sees, in whole numbers, and those from there to its pixels.

    Raises `CcsError` if `transform` is not made of steps, of which one turns a picture into numbers.
    """
    if not has_steps(transform):
        raise CcsError("pixel_cache=true needs a model whose preprocessing is made of steps, as open_clip's are. Leave it out.")
    steps = transform.transforms
    at = next(number for number, step in enumerate(steps) if isinstance(step, ToTensor))
    return Compose(steps[:at]), Compose(steps[at:])


class ToPixels:
    """The steps from pictures to pixels, `ToTensor` and `Normalize` in most models, each picture written where it belongs in a batch.

    Those two are done in place, with the same arithmetic and so to the same bits, without the copy that each of them makes.
    """

    def __init__(self, steps: Compose):
        self._steps = steps
        first, *rest = steps.transforms
        self._in_place = isinstance(first, ToTensor) and len(rest) <= 1 and all(type(step) is Normalize for step in rest)
        self._statistics = [torch.tensor([step.mean, step.std])[:, :, None, None] for step in rest] if self._in_place else []

    def write(self, picture: Image.Image, out: Float[Tensor, "3 height width"]) -> None:
        if not self._in_place or picture.mode != "RGB":
            out.copy_(self._steps(picture))
            return
        out.copy_(torch.from_numpy(np.array(picture)).permute(2, 0, 1)).div_(255)
        for mean, std in self._statistics:
            out.sub_(mean).div_(std)


def pictured(pixels: Float[Tensor, "3 height width"], transform: Callable) -> Image.Image:
    """The picture that the encoder sees, cropped and resized as it is, from the pixels that `transform` made of an image."""
    for step in reversed(transform.transforms if isinstance(transform, Compose) else []):
        if isinstance(step, Normalize):
            mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (step.mean, step.std))
            pixels = pixels.float() * std + mean
            break
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
