"""Which image encoders can be decomposed, and how: each kind by what it is made of, never by a model's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_clip.timm_model import TimmModel
from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock, VisionTransformer
from timm.layers import Attention, AttentionPoolLatent, AttentionRope
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from timm.models.vision_transformer_relpos import RelPosAttention, RelPosBlock, ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from ccs_exp.clip.image_tower import EvaTower, ImageTower, OpenClipTower, RelPosTower, TimmTower
from ccs_exp.clip.layers import CustomLayer, EvaLayer, Layer, PlainLayer, PostNormLayer, TimmLayer
from ccs_exp.clip.linear import pack_layers
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.pooling import Average, FirstQuery, FirstToken, LatentQuery, LinearReadOut, OpenClipReadOut, Pool, ReadOut
from ccs_exp.errors import CcsError

KINDS = (
    "open_clip's VisionTransformer with class-token, average or CoCa's attentional pooling",
    "timm's VisionTransformer (SigLIP, MobileCLIP-B, ViTamin), also with relative positions, and Eva (EVA01, EVA02, PE-Core) with "
    "class-token, average or latent-query pooling",
)
_LAYERS: dict[type, Callable[[Any], Layer]] = {
    ResidualAttentionBlock: PlainLayer,
    CustomResidualAttentionBlock: CustomLayer,
    Block: TimmLayer,
    ResPostBlock: PostNormLayer,
    RelPosBlock: TimmLayer,
    ResPostRelPosBlock: PostNormLayer,
    EvaBlock: EvaLayer,
    EvaBlockPostNorm: PostNormLayer,
}
_TIMM_ATTENTION = (Attention, AttentionRope, EvaAttention, RelPosAttention)
_TOWERS: dict[type, type[TimmTower]] = {TimmVisionTransformer: TimmTower, Eva: EvaTower, VisionTransformerRelPos: RelPosTower}
_NO_HEADS = {
    "ModifiedResNet": "a ResNet has no attention heads in its layers",
    "ConvNeXt": "its layers are convolutions, without attention heads",
    "FastVit": "its layers mix tokens by convolution, without attention heads in most of them",
    "SwinTransformer": "its tokens are merged from stage to stage, so that its heads do not write straight to the embedding",
}


class _CannotError(Exception):
    """Why an encoder cannot be decomposed."""


def check_encoder(clip: OpenClip, name: str) -> None:
    """Raise `CcsError` that says what was found and what is known, for an image encoder whose heads cannot be read. Nothing is changed."""
    _checked(clip, name)


def image_tower(clip: OpenClip, name: str) -> ImageTower:
    """The image encoder of `clip` with hook points in its blocks. Raises as `check_encoder`."""
    blocks, readout, tower, kind, plain = _checked(clip, name)
    if type(clip.visual) is TimmModel:
        pack_layers(clip.visual)
    return tower(clip.visual, [_LAYERS[type(block)](block) for block in blocks], readout(), kind, plain)


_Found = tuple[Any, Callable[[], ReadOut], type[ImageTower], str, bool]


def _checked(clip: OpenClip, name: str) -> _Found:
    visual = clip.visual
    try:
        if type(visual) is VisionTransformer:
            return _open_clip(visual)
        if type(visual) is TimmModel:
            return _timm(visual)
        raise _CannotError(_unknown(visual))
    except _CannotError as reason:
        raise CcsError(
            f"The heads of {name} cannot be read: {reason}. What can be decomposed: {'; '.join(KINDS)}. Choose one of these, such as "
            "model.name=ViT-B-16."
        ) from None


def _unknown(encoder: nn.Module) -> str:
    kind = type(encoder).__name__
    return f"its image encoder is a {kind}, and {_NO_HEADS.get(kind, 'nothing is known of how its heads reach the embedding')}"


def _open_clip(visual: Any) -> _Found:
    blocks = visual.transformer.resblocks
    for layer, block in enumerate(blocks):
        if type(block) not in (ResidualAttentionBlock, CustomResidualAttentionBlock):
            raise _CannotError(f"layer {layer} is a {type(block).__name__}, which is not known")
        if type(block) is CustomResidualAttentionBlock and block.attn.scaled_cosine:
            raise _CannotError("its attention is by scaled cosines, which fail in open_clip itself")
    first_token = visual.pool_type == "tok"
    if visual.attn_pool is not None:
        if getattr(visual, "attn_pool_contrastive", None) is not None or not first_token:
            raise _CannotError("its attentional pooling is neither CoCa's nor a latent query's")
        pool = visual.attn_pool
        return blocks, lambda: OpenClipReadOut(pool.ln_k, FirstQuery(pool), visual.ln_post, visual), OpenClipTower, "CoCa", False
    if first_token:
        plain = all(type(block) is ResidualAttentionBlock for block in blocks)
        return blocks, lambda: OpenClipReadOut(None, FirstToken(), visual.ln_post, visual), OpenClipTower, "class token", plain
    if visual.pool_type != "avg":
        raise _CannotError(f"its pooling {visual.pool_type!r} is not known")
    norms = (None, visual.ln_post) if visual.final_ln_after_pool else (visual.ln_post, None)
    return blocks, lambda: OpenClipReadOut(norms[0], Average(1), norms[1], visual), OpenClipTower, "average", False


def _timm(visual: Any) -> _Found:
    trunk = visual.trunk
    if type(trunk) not in _TOWERS:
        raise _CannotError(_unknown(trunk))
    for layer, block in enumerate(trunk.blocks):
        if type(block) not in _LAYERS or type(block.attn) not in _TIMM_ATTENTION:
            raise _CannotError(f"layer {layer} is a {type(block).__name__} with {type(block.attn).__name__}, which is not known")
    if getattr(trunk, "rope_mixed", False) or getattr(trunk, "dynamic_img_size", False):
        raise _CannotError("its positions differ from layer to layer, or with the image's size")
    first, last = _norm(trunk.norm), _norm(trunk.fc_norm)
    head = [trunk.head, *visual.head.children()]
    if any(not isinstance(layer, (nn.Linear, nn.Dropout, nn.Identity)) for layer in head):
        raise _CannotError("its projection is not linear, so that no head's part of the embedding is defined")
    pool = _timm_pool(trunk)
    if pool.reads_first_token and last is None:
        first, last = None, first  # of one token it is the same norm
    kind = {FirstToken: "class token", Average: "average", LatentQuery: "latent query"}[type(pool)]
    return trunk.blocks, lambda: LinearReadOut(first, pool, last, visual), _TOWERS[type(trunk)], f"timm, {kind}", False


def _timm_pool(trunk: Any) -> Pool:
    prefix = 0 if getattr(trunk, "pool_include_prefix", False) else trunk.num_prefix_tokens
    latent = getattr(trunk, "attn_pool", None)
    if latent is not None:
        usual = type(latent) is AttentionPoolLatent and latent.latent_len == 1 and latent.pos_embed is None
        if not usual or latent.pool not in ("token", "avg") or not isinstance(latent.proj, nn.Linear):
            raise _CannotError(f"its pooling by a {type(latent).__name__} of this form is not known")
        return LatentQuery(latent, 0 if type(trunk) is Eva else prefix)
    if trunk.global_pool == "token":
        return FirstToken()
    if trunk.global_pool == "avg":
        return Average(prefix)
    raise _CannotError(f"its pooling {trunk.global_pool!r} is not linear in the tokens")


def _norm(norm: nn.Module) -> nn.LayerNorm | None:
    if isinstance(norm, nn.Identity):
        return None
    if not isinstance(norm, nn.LayerNorm):
        raise _CannotError(f"its last norm is a {type(norm).__name__}, not a LayerNorm")
    return norm
