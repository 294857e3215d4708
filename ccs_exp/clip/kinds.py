"""Which image encoders can be decomposed, and how: each kind by what it is made of, never by a model's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock, VisionTransformer

from ccs_exp.clip.image_tower import CannotError, Found, ImageTower, OpenClipTower, unknown
from ccs_exp.clip.layers import CustomLayer, Layer, PlainLayer
from ccs_exp.clip.linear import pack_layers
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.pooling import Average, FirstQuery, FirstToken, OpenClipReadOut
from ccs_exp.errors import CcsError

KINDS = (
    "open_clip's VisionTransformer with class-token, average or CoCa's attentional pooling",
    "timm's VisionTransformer (SigLIP, MobileCLIP-B, ViTamin), also with relative positions, and Eva (EVA01, EVA02, PE-Core) with "
    "class-token, average or latent-query pooling",
)
_LAYERS: Mapping[type, Callable[[Any], Layer]] = {ResidualAttentionBlock: PlainLayer, CustomResidualAttentionBlock: CustomLayer}


def image_tower(clip: OpenClip, name: str) -> ImageTower:
    """The image encoder of `clip` with hook points in its blocks. Raises as `check_encoder`."""
    found = check_encoder(clip, name)
    if type(clip.visual) is not VisionTransformer:
        pack_layers(clip.visual)
    layers = [found.layers[type(block)](block) for block in found.blocks]
    return found.tower(clip.visual, layers, found.readout(), found.kind, found.plain)


def check_encoder(clip: OpenClip, name: str) -> Found:
    """What the image encoder is made of; nothing is changed. Raises `CcsError` that says what was found and what is known, for one whose
    heads cannot be read."""
    try:
        return _found(clip.visual)
    except CannotError as reason:
        raise CcsError(
            f"The heads of {name} cannot be read: {reason}. What can be decomposed: {'; '.join(KINDS)}. Choose one of these, such as "
            "model.name=ViT-B-16."
        ) from None


def _found(visual: Any) -> Found:
    if type(visual) is VisionTransformer:
        return _open_clip(visual)
    from open_clip.timm_model import TimmModel  # late: timm imports all its models

    if type(visual) is not TimmModel:
        raise CannotError(unknown(visual))
    from ccs_exp.clip.timm_kinds import found_in_timm

    return found_in_timm(visual)


def _open_clip(visual: Any) -> Found:
    blocks = visual.transformer.resblocks
    for layer, block in enumerate(blocks):
        if type(block) not in _LAYERS:
            raise CannotError(f"layer {layer} is a {type(block).__name__}, which is not known")
        if type(block) is CustomResidualAttentionBlock and block.attn.scaled_cosine:
            raise CannotError("its attention is by scaled cosines, which fail in open_clip itself")
    first_token = visual.pool_type == "tok"
    if visual.attn_pool is not None:
        if getattr(visual, "attn_pool_contrastive", None) is not None or not first_token:
            raise CannotError("its attentional pooling is neither CoCa's nor a latent query's")
        pool, last = visual.attn_pool, visual.ln_post
        return Found(blocks, _LAYERS, lambda: OpenClipReadOut(pool.ln_k, FirstQuery(pool), last, visual), OpenClipTower, "CoCa", False)
    if first_token:
        plain, last = all(type(block) is ResidualAttentionBlock for block in blocks), visual.ln_post
        return Found(blocks, _LAYERS, lambda: OpenClipReadOut(None, FirstToken(), last, visual), OpenClipTower, "class token", plain)
    if visual.pool_type != "avg":
        raise CannotError(f"its pooling {visual.pool_type!r} is not known")
    norms = (None, visual.ln_post) if visual.final_ln_after_pool else (visual.ln_post, None)
    return Found(blocks, _LAYERS, lambda: OpenClipReadOut(norms[0], Average(1), norms[1], visual), OpenClipTower, "average", False)
