"""What an architecture looks like, known without its weights."""

from __future__ import annotations

from typing import NamedTuple

from ccs_exp.clip.loading import unloaded
from ccs_exp.clip.model import check_encoder
from ccs_exp.errors import CcsError


class EncoderShape(NamedTuple):
    """Of an image encoder."""

    layers: int
    heads_per_layer: int
    tokens: int
    width: int


def encoder_shape(name: str, architecture: str | None = None, repository: bool = False) -> EncoderShape | None:
    """None for an unknown name, a repository that is not here, or an encoder whose heads cannot be read. As `loading.unloaded`."""
    try:
        clip = unloaded(name, architecture, repository)
        check_encoder(clip, name)
    except CcsError:
        return None
    blocks = clip.visual.transformer.resblocks
    return EncoderShape(len(blocks), blocks[0].attn.num_heads, *clip.visual.positional_embedding.shape)
