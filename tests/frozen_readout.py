"""The way from tokens to embedding with attention and deviations held as they are for given tokens: an affine map, written out plainly.

The reference for what heads contribute: whatever is added to the tokens adds the difference of this map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Map = Callable[[Tensor], Tensor]  # tokens [batch, tokens, width] to embedding [batch, dim]


def _frozen_norm(norm: nn.Module, x: Tensor) -> Map:
    if isinstance(norm, nn.Identity):
        return lambda v: v
    sigma = torch.sqrt(x.var(dim=-1, correction=0, keepdim=True) + norm.eps)
    return lambda v: (v - v.mean(dim=-1, keepdim=True)) / sigma * norm.weight + norm.bias


def _attention(q: Tensor, keys: Tensor, heads: int) -> Tensor:
    q, k = q.unflatten(-1, (heads, -1)), keys.unflatten(-1, (heads, -1))  # [heads, head_dim], [batch, tokens, heads, head_dim]
    return ((q * k).sum(dim=-1) / q.shape[-1] ** 0.5).softmax(dim=1)  # [batch, tokens, heads]


def _mixed(weights: Tensor, values: Tensor, output: nn.Linear) -> Tensor:
    values = values.unflatten(-1, (weights.shape[-1], -1))
    return F.linear((weights[..., None] * values).sum(dim=1).flatten(1), output.weight, output.bias)


def _pool(visual: nn.Module, y: Tensor) -> Map:
    """Of double-precision modules; y: normed tokens."""
    if hasattr(visual, "trunk"):
        trunk, prefix = visual.trunk, visual.trunk.num_prefix_tokens
        if getattr(trunk, "attn_pool", None) is None:
            return (lambda v: v[:, 0]) if trunk.global_pool == "token" else (lambda v: v[:, prefix:].mean(dim=1))
        pool, first = trunk.attn_pool, 0 if type(trunk).__name__ == "Eva" else prefix
        k_weight, v_weight = pool.kv.weight.chunk(2)
        k_bias, v_bias = pool.kv.bias.chunk(2)
        weights = _attention(pool.q(pool.latent)[0, 0], F.linear(y[:, first:], k_weight, k_bias), pool.num_heads)
        mixed = lambda v: _mixed(weights, F.linear(v[:, first:], v_weight, v_bias), pool.proj)  # noqa: E731
        mlp = pool.mlp(pool.norm(mixed(y)))  # a component of its own
        return lambda v: mixed(v) + mlp
    if visual.attn_pool is not None:
        pool, attention = visual.attn_pool, visual.attn_pool.attn
        q_bias, k_bias, v_bias = attention.in_proj_bias.chunk(3)
        q = F.linear(pool.ln_q(pool.query[0]), attention.q_proj_weight, q_bias)
        weights = _attention(q, F.linear(y, attention.k_proj_weight, k_bias), attention.num_heads)
        return lambda v: _mixed(weights, F.linear(v, attention.v_proj_weight, v_bias), attention.out_proj)
    return (lambda v: v[:, 0]) if visual.pool_type == "tok" else (lambda v: v[:, 1:].mean(dim=1))


def frozen_readout(visual: nn.Module, x: Tensor) -> Map:
    """Of a `visual` in double precision; `x`: its tokens after the last block."""
    if hasattr(visual, "trunk"):
        before, after = visual.trunk.norm, visual.trunk.fc_norm
        project: Map = lambda v: visual.head(visual.trunk.head(v))  # noqa: E731
    else:
        before = visual.attn_pool.ln_k if visual.attn_pool is not None else visual.ln_post
        after = visual.ln_post if visual.attn_pool is not None else nn.Identity()
        before, after = (nn.Identity(), visual.ln_post) if visual.final_ln_after_pool else (before, after)
        project = lambda v: v @ visual.proj  # noqa: E731
    first = _frozen_norm(before, x)
    pool = _pool(visual, first(x))
    last = _frozen_norm(after, pool(first(x)))
    return lambda v: project(last(pool(first(v))))
