"""Self-attention whose per-head outputs pass through a module that can be hooked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ccs_exp.clip.linear import PackedLinear, linear


class HeadOutputs(nn.Identity):
    """The hook point: sees and returns the per-head outputs ``z``, ``[batch, heads, tokens, head_dim]``."""


class HeadAttention(nn.MultiheadAttention):
    """`nn.MultiheadAttention` over one sequence, with a `HeadOutputs` between the heads and the output projection.

    Torch's own module runs a fused kernel in which neither `out_proj` nor the heads' outputs can be hooked. This one has
    the same parameters under the same names and gives the same numbers, and a forward hook on `head_outputs` sees every head.
    """

    head_outputs: HeadOutputs

    @classmethod
    def replacing(cls, attention: nn.MultiheadAttention) -> HeadAttention:
        """Take over the parameters of `attention`, which must be plain batch-first self-attention with biases."""
        plain = (
            attention.batch_first
            and attention._qkv_same_embed_dim
            and attention.in_proj_bias is not None
            and attention.bias_k is None
            and not attention.add_zero_attn
        )
        if not plain:
            raise TypeError(f"Only batch-first self-attention with biases can expose its heads, not {attention}.")
        with torch.device("meta"):
            replacement = cls(attention.embed_dim, attention.num_heads, batch_first=True)
        replacement.in_proj_weight = attention.in_proj_weight
        replacement.in_proj_bias = attention.in_proj_bias
        replacement.out_proj = PackedLinear.replacing(attention.out_proj)  # type: ignore[assignment]  # a Linear too
        replacement.head_outputs = HeadOutputs()
        return replacement.train(attention.training)

    def forward(  # type: ignore[override]  # the signature is torch's; only what a transformer block passes is used
        self,
        query: Float[Tensor, "batch tokens width"],
        key: Float[Tensor, "batch tokens width"],
        value: Float[Tensor, "batch tokens width"],
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], None]:
        if key is not query or value is not query or need_weights:
            raise TypeError("HeadAttention is self-attention without returned weights.")
        return self.project(self.heads(query, attn_mask)), None

    def heads(
        self, x: Float[Tensor, "batch tokens width"], attn_mask: Tensor | None = None
    ) -> Float[Tensor, "batch heads tokens head_dim"]:
        """What every head gives at every token, before the hook point."""
        batch, tokens, _width = x.shape
        qkv = linear(x, self.in_proj_weight, self.in_proj_bias)
        # [batch, tokens, 3 * width] -> 3 x [batch, heads, tokens, head_dim]
        q, k, v = qkv.view(batch, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)

    def class_token_heads(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads 1 head_dim"]:
        """What every head gives at the class token alone, without keys and values of the other tokens.

        With ``q`` the class token's query, ``q . (W_K x_t + b_K)`` is ``(W_K^T q) . x_t`` plus the same number for every ``t``, which
        softmax does not see; and the values mix as ``W_V (sum_t p_t x_t) + b_V``, because the weights ``p`` sum to one.
        """
        width, shape = self.embed_dim, (self.num_heads, self.head_dim, self.embed_dim)
        w_v, b_v = self.in_proj_weight[2 * width :], self.in_proj_bias[2 * width :]
        weights = self.class_token_weights(x)
        z = torch.einsum("bhw,hdw->bhd", weights @ x, w_v.view(shape)) + b_v.view(shape[:2])
        return z[:, :, None]

    def class_token_weights(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens"]:
        """How much of every token the class token takes, in each head; sums to one over the tokens."""
        width, shape = self.embed_dim, (self.num_heads, self.head_dim, self.embed_dim)
        w_q, w_k, _w_v = self.in_proj_weight.view(3, width, width)
        q = F.linear(x[:, 0], w_q, self.in_proj_bias[:width]).view(-1, *shape[:2]) / self.head_dim**0.5  # [batch, heads, head_dim]
        keys = torch.einsum("bhd,hdw->bhw", q, w_k.view(shape))
        return (keys @ x.transpose(1, 2)).softmax(dim=-1)

    def project(self, z: Float[Tensor, "batch heads tokens head_dim"]) -> Float[Tensor, "masked_batch tokens width"]:
        """From the heads' outputs, through the hook point, to what the block adds; a mask stack multiplies the batch."""
        z = self.head_outputs(z)
        joined = z.transpose(1, 2).reshape(z.shape[0], z.shape[2], self.embed_dim)
        return self.out_proj(joined)


class HeadProjection(PackedLinear):
    """The output projection of any other attention that calls one, with a `HeadOutputs` before it.

    What comes in are the heads' outputs side by side, after whatever the attention does to them (EVA02's inner norm for instance), so
    that silencing a head is zeroing its columns of the weight, for every kind.
    """

    head_outputs: HeadOutputs
    num_heads: int
    bare = False  # while true, the heads' outputs are given back as they came in

    @classmethod
    def of(cls, layer: nn.Linear, num_heads: int) -> HeadProjection:
        """Take over the parameters of `layer`."""
        replacement = cls.replacing(layer)
        replacement.head_outputs, replacement.num_heads = HeadOutputs(), num_heads
        return replacement

    def forward(self, joined: Float[Tensor, "batch tokens heads_times_head_dim"]) -> Float[Tensor, "batch tokens width"]:
        return joined if self.bare else self.project(self.parted(joined))

    def parted(self, joined: Float[Tensor, "batch tokens heads_times_head_dim"]) -> Float[Tensor, "batch heads tokens head_dim"]:
        return joined.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def project(self, z: Float[Tensor, "batch heads tokens head_dim"]) -> Float[Tensor, "masked_batch tokens width"]:
        """As `HeadAttention.project`."""
        return super().forward(self.head_outputs(z).transpose(1, 2).flatten(2))

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Inside, an attention gives its heads' outputs as they are before the hook point."""
        self.bare = True
        try:
            yield
        finally:
            self.bare = False
