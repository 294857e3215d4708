"""open_clip's modules for a type checker: open_clip has no types, and an `nn.Module` may have any attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.attention import HeadAttention
from ccs_exp.clip.mlp import Mlp

OpenClip: TypeAlias = Any  # a model as open_clip builds it: CLIP, CustomTextCLIP, CoCa, whose attributes differ


class Block(Protocol):
    """open_clip's `ResidualAttentionBlock`, with the attention and the MLP that `ClipModel` gives it."""

    attn: HeadAttention
    mlp: Mlp
    ln_1: nn.Module
    ln_2: nn.Module
    ls_1: nn.Module
    ls_2: nn.Module

    def __call__(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]: ...


class Blocks(Protocol):
    """open_clip's `Transformer`."""

    resblocks: Sequence[Block]


class VisualTower(Protocol):
    """open_clip's `VisionTransformer`, as far as encoding needs it."""

    transformer: Blocks
    ln_post: nn.Module
    proj: Tensor

    def _embeds(self, x: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens width"]: ...
