"""What an image encoder was found to be made of, or why its heads cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from ccs_exp.clip.image_tower import ImageTower
from ccs_exp.clip.layers import Layer
from ccs_exp.clip.pooling import ReadOut

_NO_HEADS = {
    "ModifiedResNet": "a ResNet has no attention heads in its layers",
    "ConvNeXt": "its layers are convolutions, without attention heads",
    "FastVit": "its layers mix tokens by convolution, without attention heads in most of them",
    "SwinTransformer": "its tokens are merged from stage to stage, so that its heads do not write straight to the embedding",
}


class CannotError(Exception):
    """Why an encoder cannot be decomposed."""


class Found(NamedTuple):
    """An encoder's blocks, how those of each class are read, its read-out, tower and name; `plain`: nothing but open_clip's usual."""

    blocks: Any
    layers: Mapping[type, Callable[[Any], Layer]]
    readout: Callable[[], ReadOut]
    tower: type[ImageTower]
    kind: str
    plain: bool


def unknown(encoder: nn.Module) -> str:
    """What there is to say of a class that is not known."""
    kind = type(encoder).__name__
    return f"its image encoder is a {kind}, and {_NO_HEADS.get(kind, 'nothing is known of how its heads reach the embedding')}"
