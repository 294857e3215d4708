"""A transformer block as reading and silencing need it: heads, what they write to the residual stream, and the MLP.

    x  ->  z = heads(x)  ->  hook point  ->  x + added(z W_O + b)  ->  x + mlp(x)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.attention import HeadAttention, HeadOutputs, HeadProjection
from ccs_exp.clip.mlp import Mlp

Position = dict[str, Tensor]  # what a block's attention is told of the tokens' places


class Layer(ABC):
    """A block of some kind. Making one gives the block's attention its hook point; keys and numbers of the block stay."""

    def __init__(self, block: Any, projection: HeadAttention | HeadProjection):
        self.block, self.projection = block, projection

    @abstractmethod
    def heads(self, x: Float[Tensor, "batch tokens width"], position: Position) -> Float[Tensor, "batch heads tokens head_dim"]:
        """What every head gives, before the hook point."""

    def first_token_heads(self, x: Tensor, position: Position) -> Float[Tensor, "batch heads 1 head_dim"]:
        """The same at the first token alone."""
        return self.heads(x, position)[:, :, :1]

    @abstractmethod
    def added(self, projected: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """What the block adds of the projected heads: scaled or normalised, where its kind does that."""

    @abstractmethod
    def mlp(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """What the block's second half adds."""

    def finish(
        self, x: Float[Tensor, "*branches batch tokens width"], z: Float[Tensor, "masked_batch heads tokens head_dim"]
    ) -> Float[Tensor, "masked_batch tokens width"]:
        """From the hook point to the block's end.

        `x` has a leading axis of branches where the hook point makes several copies of the batch.
        """
        attended = self.added(self.projection.project(z))
        x = (x + attended.view(*x.shape[:-2], *attended.shape[1:])).flatten(0, -3)
        return x + self.mlp(x)

    @property
    def head_outputs(self) -> HeadOutputs:
        return self.projection.head_outputs

    @property
    def num_heads(self) -> int:
        return self.projection.num_heads

    @property
    def linear(self) -> nn.Linear:
        """The output projection; columns ``h * head_dim : (h + 1) * head_dim`` of its weight are head h's."""
        return self.projection if isinstance(self.projection, HeadProjection) else self.projection.out_proj

    @property
    def head_dim(self) -> int:
        return self.linear.in_features // self.num_heads

    @property
    def scale(self) -> Tensor | None:
        """The block's layer scale on what heads write."""
        return None

    @property
    def norm_after(self) -> nn.LayerNorm | None:
        """What normalises, at each token, the sum of what the layer's heads write, before it is added."""
        return None

    def written(self) -> Float[Tensor, "heads head_dim width"]:
        """What a head writes to the residual stream for each of its outputs, float64, on the CPU; where a norm follows, before it is
        divided by that norm's deviation."""
        # the weight is [width, heads * head_dim]; a head's columns, transposed, are its W_O
        weight = self.linear.weight.double().cpu().T.reshape(self.num_heads, self.head_dim, -1)
        if self.norm_after is not None:
            weight = through_norm(self.norm_after, weight)
        return weight if self.scale is None else weight * self.scale.double().cpu()


def through_norm(norm: nn.LayerNorm, rows: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
    """What a LayerNorm makes of a part of its input, before it divides by the deviation of the whole; its bias is no part's."""
    return (rows - rows.mean(dim=-1, keepdim=True)) * norm.weight.double().cpu()


class _OpenClipHalf(Layer):
    """The second half of open_clip's blocks, and the scale of the first."""

    def mlp(self, x: Tensor) -> Tensor:
        return self.block.ls_2(self.block.mlp(self.block.ln_2(x)))

    @property
    def scale(self) -> Tensor | None:
        return getattr(self.block.ls_1, "gamma", None)


class PlainLayer(_OpenClipHalf):
    """open_clip's `ResidualAttentionBlock`."""

    def __init__(self, block: Any):
        block.attn, block.mlp = HeadAttention.replacing(block.attn), Mlp.replacing(block.mlp)
        super().__init__(block, block.attn)

    def heads(self, x: Tensor, position: Position) -> Tensor:
        return self.block.attn.heads(self.block.ln_1(x))

    def first_token_heads(self, x: Tensor, position: Position) -> Tensor:
        return self.block.attn.class_token_heads(self.block.ln_1(x))

    def added(self, projected: Tensor) -> Tensor:
        return self.block.ls_1(projected)


class _AttentionLayer(Layer):
    """A block whose attention calls its output projection as a module, by the name `projects`, and takes `norm` of what comes in."""

    norm, projects = "norm1", "proj"

    def __init__(self, block: Any):
        projection = HeadProjection.of(getattr(block.attn, self.projects), block.attn.num_heads)
        setattr(block.attn, self.projects, projection)
        super().__init__(block, projection)

    def heads(self, x: Tensor, position: Position) -> Tensor:
        normed = getattr(self.block, self.norm)(x) if self.norm else x
        with self.projection.passing():
            return self.projection.parted(self.block.attn(normed, **position))

    projection: HeadProjection


class CustomLayer(_OpenClipHalf, _AttentionLayer):
    """open_clip's `CustomResidualAttentionBlock`: norms of queries and keys, scaled heads, an inner norm, a norm after attention."""

    norm, projects = "ln_1", "out_proj"

    def added(self, projected: Tensor) -> Tensor:
        return self.block.ls_1(self.block.ln_attn(projected))

    @property
    def norm_after(self) -> nn.LayerNorm | None:
        return self.block.ln_attn if isinstance(self.block.ln_attn, nn.LayerNorm) else None


class TimmLayer(_AttentionLayer):
    """timm's `Block` and `RelPosBlock`."""

    def added(self, projected: Tensor) -> Tensor:
        return self.block.ls1(projected)

    def mlp(self, x: Tensor) -> Tensor:
        return self.block.ls2(self.block.mlp(self.block.norm2(x)))

    @property
    def scale(self) -> Tensor | None:
        return getattr(self.block.ls1, "gamma", None)


class EvaLayer(_AttentionLayer):
    """timm's `EvaBlock`."""

    def added(self, projected: Tensor) -> Tensor:
        return projected if self.scale is None else self.scale * projected

    def mlp(self, x: Tensor) -> Tensor:
        added = self.block.mlp(self.block.norm2(x))
        return added if self.block.gamma_2 is None else self.block.gamma_2 * added

    @property
    def scale(self) -> Tensor | None:
        return self.block.gamma_1


class PostNormLayer(_AttentionLayer):
    """timm's `EvaBlockPostNorm`, `ResPostBlock` and `ResPostRelPosBlock`: the norm stands after attention and after the MLP."""

    norm = ""

    def added(self, projected: Tensor) -> Tensor:
        return self.block.norm1(projected)

    def mlp(self, x: Tensor) -> Tensor:
        return self.block.norm2(self.block.mlp(x))

    @property
    def norm_after(self) -> nn.LayerNorm | None:
        return self.block.norm1


def float64(values: Tensor) -> Tensor:
    """In double precision, where they are if that device has it."""
    return values.cpu().double() if values.device.type == "mps" else values.double()  # MPS has no float64


def deviation(norm: nn.LayerNorm, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows"]:
    """What `norm` divides by, in double precision."""
    return torch.sqrt(float64(x).var(dim=-1, correction=0) + norm.eps)
