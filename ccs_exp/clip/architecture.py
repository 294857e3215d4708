"""What an architecture looks like, known without its weights."""

from __future__ import annotations

from typing import NamedTuple

from ccs_exp.clip.image_tower import ImageTower
from ccs_exp.clip.kinds import image_tower
from ccs_exp.clip.loading import unloaded
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.errors import CcsError


class EncoderShape(NamedTuple):
    """Of an image encoder."""

    layers: int
    heads_per_layer: int
    pixels: int  # numbers that an image is: 3 x height x width
    tokens: int
    width: int
    class_token_alone: bool  # whether the embedding is read from the first token and no other
    coefficients_per_head: int
    embedding: int  # dimensions


def encoder_shape(name: str, architecture: str | None = None, repository: bool = False) -> EncoderShape | None:
    """None for an unknown name, a repository that is not here, or an encoder whose heads cannot be read. As `loading.unloaded`."""
    try:
        clip = unloaded(name, architecture, repository)
        return shape_of(clip, image_tower(clip, name))
    except CcsError:
        return None


def shape_of(clip: OpenClip, tower: ImageTower) -> EncoderShape:
    height, width = clip.visual.image_size
    alone, coefficients, embedding = tower.has_class_token_alone, tower.coefficients_per_head, tower.readout.dim
    return EncoderShape(
        len(tower.layers), tower.layers[0].num_heads, 3 * height * width, *tower.shape, alone, coefficients, embedding
    )
