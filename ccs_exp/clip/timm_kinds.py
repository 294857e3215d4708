"""timm's image encoders in open_clip's `TimmModel`: which can be decomposed, and how. Importing this imports all of timm's models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from timm.layers import Attention, AttentionPoolLatent, AttentionRope
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import RelPosAttention, RelPosBlock, ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from ccs_exp.clip.image_tower import CannotError, EvaTower, Found, RelPosTower, TimmTower, unknown
from ccs_exp.clip.layers import EvaLayer, Layer, PostNormLayer, TimmLayer
from ccs_exp.clip.pooling import Average, FirstToken, LatentQuery, LinearReadOut, Pool

_LAYERS: Mapping[type, Callable[[Any], Layer]] = {
    Block: TimmLayer,
    ResPostBlock: PostNormLayer,
    RelPosBlock: TimmLayer,
    ResPostRelPosBlock: PostNormLayer,
    EvaBlock: EvaLayer,
    EvaBlockPostNorm: PostNormLayer,
}
_ATTENTION = (Attention, AttentionRope, EvaAttention, RelPosAttention)
_TOWERS: Mapping[type, type[TimmTower]] = {VisionTransformer: TimmTower, Eva: EvaTower, VisionTransformerRelPos: RelPosTower}


def found_in_timm(visual: Any) -> Found:
    """Raises `CannotError` for what cannot be decomposed."""
    trunk = visual.trunk
    if type(trunk) not in _TOWERS:
        raise CannotError(unknown(trunk))
    for layer, block in enumerate(trunk.blocks):
        if type(block) not in _LAYERS or type(block.attn) not in _ATTENTION:
            raise CannotError(f"layer {layer} is a {type(block).__name__} with {type(block.attn).__name__}, which is not known")
    if getattr(trunk, "rope_mixed", False) or getattr(trunk, "dynamic_img_size", False):
        raise CannotError("its positions differ from layer to layer, or with the image's size")
    first, last = _norm(trunk.norm), _norm(trunk.fc_norm)
    head = [trunk.head, *visual.head.children()]
    if any(not isinstance(layer, (nn.Linear, nn.Dropout, nn.Identity)) for layer in head):
        raise CannotError("its projection is not linear, so that no head's part of the embedding is defined")
    pool = _pool(trunk)
    if pool.reads_first_token and last is None:
        first, last = None, first  # of one token it is the same norm
    kind = {FirstToken: "class token", Average: "average", LatentQuery: "latent query"}[type(pool)]
    return Found(trunk.blocks, _LAYERS, lambda: LinearReadOut(first, pool, last, visual), _TOWERS[type(trunk)], f"timm, {kind}", False)


def _pool(trunk: Any) -> Pool:
    prefix = 0 if getattr(trunk, "pool_include_prefix", False) else trunk.num_prefix_tokens
    latent = getattr(trunk, "attn_pool", None)
    if latent is not None:
        usual = type(latent) is AttentionPoolLatent and latent.latent_len == 1 and latent.pos_embed is None
        if not usual or latent.pool not in ("token", "avg") or not isinstance(latent.proj, nn.Linear):
            raise CannotError(f"its pooling by a {type(latent).__name__} of this form is not known")
        return LatentQuery(latent, 0 if type(trunk) is Eva else prefix)
    if trunk.global_pool == "token":
        return FirstToken()
    if trunk.global_pool == "avg":
        return Average(prefix)
    raise CannotError(f"its pooling {trunk.global_pool!r} is not linear in the tokens")


def _norm(norm: nn.Module) -> nn.LayerNorm | None:
    if isinstance(norm, nn.Identity):
        return None
    if not isinstance(norm, nn.LayerNorm):
        raise CannotError(f"its last norm is a {type(norm).__name__}, not a LayerNorm")
    return norm
