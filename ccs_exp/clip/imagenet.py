"""ImageNet's 1,000 classes by WordNet id, under the names that OpenAI's CLIP evaluation gives them."""

from __future__ import annotations

import functools
from collections.abc import Mapping


@functools.cache
def imagenet_names() -> Mapping[str, str]:
    """``{"n01440764": "tench", ...}`` in ImageNet's own order: timm lists the ids, open_clip the names."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    from timm.data import ImageNetInfo

    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), IMAGENET_CLASSNAMES, strict=True))
