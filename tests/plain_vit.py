"""open_clip's image encoder written out, without hooks: the reference for what stands in for silenced heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.heads import Head


class Plain(NamedTuple):
    """Normalised embeddings, each layer's head outputs ``[batch, heads, tokens, head_dim]``, and the class token in two ways.

    `token` ``[batch, width]`` is what it is after the last block; `rest` what input, MLPs and biases have written to it, without heads.
    """

    embedding: Tensor
    outputs: list[Tensor]
    token: Tensor
    rest: Tensor


@torch.no_grad()
def plain_encode(clip: torch.nn.Module, pixels: Tensor, given: Mapping[Head, Tensor] | None = None) -> Plain:
    """One pass in which the outputs of some heads, ``[batch or 1, tokens, head_dim]``, are `given` by hand."""
    visual, outputs = clip.visual, []
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)  # [batch, patches, width]
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1) + visual.positional_embedding
    x = visual.ln_pre(x)
    rest = x[:, 0]
    for layer, block in enumerate(visual.transformer.resblocks):
        attention = block.attn
        qkv = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = (part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        z = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v
        outputs.append(z.clone())
        for head, values in (given or {}).items():
            if head.layer == layer:
                z[:, head.index] = values
        x = x + F.linear(z.transpose(1, 2).flatten(2), attention.out_proj.weight, attention.out_proj.bias)
        mlp = block.mlp(block.ln_2(x))
        x, rest = x + mlp, rest + attention.out_proj.bias + mlp[:, 0]
    return Plain(F.normalize(visual.ln_post(x[:, 0]) @ visual.proj, dim=-1), outputs, x[:, 0], rest)


@torch.no_grad()
def plain_contributions(clip: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """To the normalised embedding, in double precision: of every head ``[layers, heads, batch, dim]``, and of all else ``[batch, dim]``."""
    visual, plain = clip.visual, plain_encode(clip, pixels)
    norm = visual.ln_post
    token = plain.token.double()
    sigma = torch.sqrt(token.var(dim=-1, correction=0, keepdim=True) + norm.eps)
    length = (visual.ln_post(plain.token) @ visual.proj).double().norm(dim=-1, keepdim=True)

    def contribution(written: Tensor, bias: Tensor | float = 0.0) -> Tensor:  # [batch, width]
        centred = written - written.mean(dim=-1, keepdim=True)
        return (norm.weight.double() * centred / sigma + bias) @ visual.proj.double() / length

    of_heads = []
    for z, block in zip(plain.outputs, visual.transformer.resblocks, strict=True):
        columns = block.attn.out_proj.weight.double().chunk(block.attn.num_heads, dim=1)  # [width, head_dim] each
        of_heads.append(torch.stack([contribution(z[:, head, 0].double() @ w.T) for head, w in enumerate(columns)]))
    return torch.stack(of_heads), contribution(plain.rest.double(), norm.bias.double())
