"""Self-attention whose per-head outputs pass through a module that can be hooked."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


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
        replacement.out_proj = attention.out_proj
        replacement.head_outputs = HeadOutputs()
        return replacement.train(attention.training)

    def forward(  # the signature is torch's; only what a transformer block passes is used
        self,
        query: Float[Tensor, "batch tokens width"],
        key: Float[Tensor, "batch tokens width"],
        value: Float[Tensor, "batch tokens width"],
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], None]:
        if key is not query or value is not query or need_weights:
            raise TypeError("HeadAttention is self-attention without returned weights.")
        batch, tokens, width = query.shape
        qkv = F.linear(query, self.in_proj_weight, self.in_proj_bias)
        # [batch, tokens, 3 * width] -> 3 x [batch, heads, tokens, head_dim]
        q, k, v = qkv.view(batch, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        z = self.head_outputs(F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask))
        return self.out_proj(z.transpose(1, 2).reshape(batch, tokens, width)), None
