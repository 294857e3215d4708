"""What each head adds to the image embedding.

The embedding is ``P^T ln_post(x)`` with ``x`` the class token after the last block, a sum of contributions of heads, MLPs,
biases and the input. With ``mu`` and ``sigma`` the mean and standard deviation that ``ln_post`` takes from ``x``, ``n`` the norm of
the embedding and ``a = z W_O`` what a head writes to the class token, the head contributes (Gandelsman et al., ICLR 2024, section 3)

    c = P^T (gamma * (a - mean(a)) / sigma) / n        to the normalised embedding.

Per image this is linear in ``u = z / (sigma n)``, with a matrix that no image changes. The reference implementation of that paper
also gives every head an equal share of the biases and of the LayerNorm's mean, which is linear in three more numbers per image.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.encoder import class_token, embed
from ccs_exp.clip.hooks import recorded
from ccs_exp.clip.model import ClipModel

Shares = Literal["direct", "reference"]
SHARED_COEFFICIENTS = 3  # 1/(sigma n), mu/(sigma n), 1/n


class Readout(NamedTuple):
    """Per image and head the coefficients ``[u, 1/(sigma n), mu/(sigma n), 1/n]``, and the normalised embedding."""

    coefficients: Float[Tensor, "batch heads head_dim_plus_3"]
    embedding: Float[Tensor, "batch dim"]


def read_heads(model: ClipModel, pixels: Float[Tensor, "batch 3 height width"], layers: range) -> Readout:
    """One forward pass; the heads of `layers` in order of layer, then index. Coefficients in float64."""
    visual = model.clip.visual
    with recorded(model, layers) as outputs:
        token = class_token(visual, pixels)
    embedding = embed(visual, token)
    x = float64(token)  # [batch, width]
    norm = float64(embedding).norm(dim=-1)
    mu = x.mean(dim=-1)
    sigma = torch.sqrt(x.var(dim=-1, correction=0) + visual.ln_post.eps)
    z = float64(torch.cat([outputs[layer] for layer in layers], dim=1))  # [batch, heads, head_dim]
    scale = 1 / (sigma * norm)
    shared = torch.stack([scale, mu * scale, 1 / norm], dim=-1)  # [batch, 3]
    coefficients = torch.cat([z * scale[:, None, None], shared[:, None].expand(-1, z.shape[1], -1)], dim=-1)
    return Readout(coefficients, embedding / embedding.norm(dim=-1, keepdim=True))


def float64(values: Tensor) -> Tensor:
    """In double precision, where they are if that device has it."""
    return values.cpu().double() if values.device.type == "mps" else values.double()  # MPS has no float64


@torch.no_grad()
def contribution_maps(model: ClipModel, layers: range, shares: Shares) -> Float[Tensor, "heads head_dim_plus_3 dim"]:
    """The matrices ``M`` with ``c = coefficients @ M``, float64, on the CPU.

    With ``shares="direct"`` the rows of the three shared coefficients are zero.
    """
    visual = model.clip.visual
    gamma, beta = visual.ln_post.weight.double().cpu(), visual.ln_post.bias.double().cpu()
    projection = visual.proj.double().cpu()
    components = 2 * model.layers + 1  # attention and MLP of every layer, and the input embedding
    maps = []
    for layer in layers:
        block = model.blocks[layer]
        attention = block.attn
        layer_scale = getattr(block.ls_1, "gamma", torch.ones(())).double().cpu()
        # out_proj.weight is [width, heads * head_dim]; a head's columns, transposed, are its W_O
        w_o = attention.out_proj.weight.double().cpu().T.reshape(attention.num_heads, attention.head_dim, -1) * layer_scale
        if shares == "direct":
            written = (w_o - w_o.mean(dim=-1, keepdim=True)) * gamma
            shared = torch.zeros(attention.num_heads, SHARED_COEFFICIENTS, written.shape[-1], dtype=torch.float64)
        else:
            written = w_o * gamma
            bias = attention.out_proj.bias.double().cpu() * layer_scale * gamma / attention.num_heads
            mean_share = -gamma / (components * attention.num_heads)
            beta_share = beta / (components * attention.num_heads)
            shared = torch.stack([bias, mean_share, beta_share]).expand(attention.num_heads, -1, -1)
        maps.append(torch.cat([written, shared], dim=1) @ projection)
    return torch.cat(maps)
