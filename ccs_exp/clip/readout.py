"""What each head adds to the image embedding.

The embedding is ``P^T ln_post(x)`` with ``x`` the class token after the last block, a sum of contributions of heads, MLPs,
biases and the input. With ``mu`` and ``sigma`` the mean and standard deviation that ``ln_post`` takes from ``x``, ``n`` the norm of
the embedding and ``a = z W_O`` what a head writes to the class token, the head contributes (Gandelsman et al., ICLR 2024, section 3)

    c = P^T (gamma * (a - mean(a)) / sigma) / n        to the normalised embedding.

Per image this is linear in ``u = z / (sigma n)``, with a matrix that no image changes. Where the embedding is read from more tokens, or by
a pool with heads p of its own, ``u[p] = sum_t w[p, t] z[t]`` with weights that are frozen for each image (`ccs_exp.clip.pooling`).

The reference implementation of that paper also gives every head an equal share of the biases and of the LayerNorm's mean, which is linear
in three more numbers per image; it is defined for open_clip's plain vision transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.hooks import observed
from ccs_exp.clip.image_tower import ImageTower
from ccs_exp.clip.layers import deviation, float64
from ccs_exp.clip.model import ClipModel
from ccs_exp.errors import CcsError

Shares = Literal["direct", "reference"]
SHARED_COEFFICIENTS = 3  # 1/(sigma n), mu/(sigma n), 1/n; zero where the reference's shares are not defined
_IMAGES_AT_ONCE = 16  # where the outputs at all tokens are held until the pool's weights are known


class Readout(NamedTuple):
    """Per image and head the coefficients ``[u, 1/(sigma n), mu/(sigma n), 1/n]``, and the normalised embedding.

    `u` has as many numbers as `ImageTower.coefficients_per_head`, head_dim of them for each of the pool's heads.
    """

    coefficients: Float[Tensor, "batch heads u_plus_3"]
    embedding: Float[Tensor, "batch dim"]


def read_heads(model: ClipModel, pixels: Float[Tensor, "batch 3 height width"], layers: range) -> Readout:
    """One forward pass; the heads of `layers` in order of layer, then index. Coefficients in float64."""
    parts = [pixels] if model.tower.has_class_token_alone else pixels.split(_IMAGES_AT_ONCE)
    found = [_read(model, part, layers) for part in parts]
    return found[0] if len(found) == 1 else Readout(*(torch.cat(of_parts) for of_parts in zip(*found, strict=True)))


def _read(model: ClipModel, pixels: Tensor, layers: range) -> Readout:
    tower, outputs = model.tower, {}

    def see(layer: int, z: Tensor) -> None:  # [batch, heads, tokens, head_dim], of which the class token alone is held where it is read
        outputs[layer] = z[:, :, :1] if tower.has_class_token_alone else z

    with observed(model, layers, see), _deviations(tower, layers) as divisors:
        x = tower.run(pixels)
    embedding = tower.readout.embed(x)
    length = float64(embedding).norm(dim=-1)
    weights = tower.readout.weights(x, length)  # [batch, pool heads, tokens]
    u = torch.cat(
        [_weighed(weights if layer not in divisors else weights / divisors[layer], outputs.pop(layer)) for layer in layers], dim=1
    )
    shared = u.new_zeros(len(u), SHARED_COEFFICIENTS)
    if tower.plain:
        mu, scale = float64(x[:, 0]).mean(dim=-1), weights[:, 0, 0]
        shared = torch.stack([scale, mu * scale, 1 / length], dim=-1)  # [batch, 3]
    coefficients = torch.cat([u, shared[:, None].expand(-1, u.shape[1], -1)], dim=-1)
    return Readout(coefficients, embedding / embedding.norm(dim=-1, keepdim=True))


def _weighed(
    weights: Float[Tensor, "batch pool_heads tokens"], z: Float[Tensor, "batch heads tokens head_dim"]
) -> Float[Tensor, "batch heads coefficients"]:
    z = float64(z)
    if weights.shape[1:] == (1, 1):
        return z[:, :, 0] * weights
    return torch.einsum("bpt,bhtd->bhpd", weights, z).flatten(2)


@contextmanager
def _deviations(tower: ImageTower, layers: range) -> Iterator[dict[int, Float[Tensor, "batch 1 tokens"]]]:
    """By layer, what the norm divides by that follows the layer's heads, where one does, at the tokens that are read."""
    found: dict[int, Tensor] = {}

    def see(layer: int, norm: nn.LayerNorm, x: Tensor) -> None:
        found[layer] = deviation(norm, x[:, :1] if tower.has_class_token_alone else x)[:, None]

    with ExitStack() as hooks:
        for layer in layers:
            norm = tower.layers[layer].norm_after
            if norm is not None:
                handle = norm.register_forward_pre_hook(lambda norm, inputs, layer=layer: see(layer, norm, inputs[0]))
                hooks.callback(handle.remove)
        yield found


def check_shares(model: ClipModel, shares: Shares) -> None:
    """Raise `CcsError` for shares that are not defined for the model's kind."""
    if shares == "reference" and not model.tower.plain:
        raise CcsError(
            "textspan=reference is defined as its authors' code has it, for plain vision transformers that are read out at the class "
            f"token; {model.name} is of the kind {model.tower.kind}. Use textspan=direct."
        )


@torch.no_grad()
def contribution_maps(model: ClipModel, layers: range, shares: Shares) -> Float[Tensor, "heads u_plus_3 dim"]:
    """The matrices ``M`` with ``c = coefficients @ M``, float64, on the CPU.

    With ``shares="direct"`` the rows of the three shared coefficients are zero.
    """
    check_shares(model, shares)
    tower, readout = model.tower, model.tower.readout
    components = 2 * model.layers + 1  # attention and MLP of every layer, and the input embedding
    maps = []
    for layer in (tower.layers[number] for number in layers):
        written, norm, heads = layer.written(), readout.norm_after, layer.num_heads
        if shares == "direct" or norm is None:
            maps.append(readout.maps(written, SHARED_COEFFICIENTS))
            continue
        gamma, beta = norm.weight.double().cpu(), norm.bias.double().cpu()
        scale = torch.ones(()) if layer.scale is None else layer.scale
        bias = layer.linear.bias.double().cpu() * scale.double().cpu() * gamma / heads
        shared = torch.stack([bias, -gamma / (components * heads), beta / (components * heads)]).expand(heads, -1, -1)
        maps.append(torch.cat([written * gamma, shared], dim=1) @ readout.matrix())
    return torch.cat(maps)
