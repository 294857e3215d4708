"""Where in an image a head's contribution comes from: the same number as a sum over tokens.

What a head gives at the class token is ``z = sum_t p_t (W_V x_t + b_V)``, with ``p`` its attention and ``x_t`` the tokens that enter, so
its contribution (`ccs_exp.clip.readout`) to the embedding, and to any direction in it, is a sum with a part for every token, the class
token's own among them (Gandelsman et al., ICLR 2024, section 5). Nothing is approximated: the parts add up to the contribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, float64, read_heads
from ccs_exp.errors import CcsError

_NOT_DRAWN = "where its heads look is not drawn."


def tokens_along(
    model: ClipModel,
    pixels: Float[Tensor, "batch 3 height width"],
    layers: range,
    directions: Float[Tensor, "heads head_dim directions"],
) -> Float[Tensor, "batch heads tokens directions"]:
    """What every token adds to each head's contribution along its own directions, float64, the class token first.

    Args:
        directions: ``M t`` of the heads of `layers`, in their order: ``M`` as `contribution_maps` has it, without the shared coefficients,
            ``t`` in the embedding. The identity gives the parts of the coefficients themselves.
    """
    with _attended(model, layers) as entered:
        coefficients = read_heads(model, pixels, layers).coefficients
    scale = coefficients[:, 0, -SHARED_COEFFICIENTS]  # 1 / (sigma n), the same for all heads
    per_layer = directions.to(coefficients).unflatten(0, (len(layers), -1))
    found = []
    for layer, along in zip(layers, per_layer, strict=True):
        attention, x = model.blocks[layer].attn, float64(entered[layer])
        width, shape = attention.embed_dim, (attention.num_heads, attention.head_dim)
        w_v = attention.in_proj_weight[2 * width :].to(x).view(*shape, width)
        b_v = attention.in_proj_bias[2 * width :].to(x).view(shape)
        values = torch.einsum("btw,hwd->bhtd", x, torch.einsum("hkw,hkd->hwd", w_v, along))
        values += torch.einsum("hk,hkd->hd", b_v, along)[:, None]
        weights = float64(attention.class_token_weights(entered[layer]))
        found.append(values * (weights * scale[:, None, None])[..., None])
    return torch.cat(found, dim=1)


def patch_grid(model: ClipModel) -> tuple[int, int]:
    """Rows and columns of the patches that the tokens behind the class token stand for.

    Raises `CcsError` where they are no grid, and for encoders of which `tokens_along` does not know how they read their tokens.
    """
    visual = model.clip.visual
    if not model.tower.plain:
        raise CcsError(f"{model.name} has an image encoder that is no plain vision transformer of open_clip's: {_NOT_DRAWN}")
    rows, columns = visual.grid_size
    if rows * columns + 1 != len(visual.positional_embedding):
        raise CcsError(f"{model.name} has tokens that are no patches of the image: {_NOT_DRAWN}")
    return rows, columns


@contextmanager
def _attended(model: ClipModel, layers: range) -> Iterator[dict[int, Tensor]]:
    """Collect what enters the attention of `layers`, ``[batch, tokens, width]``, in the latest forward pass."""
    entered: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: entered.__setitem__(layer, output.detach())

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(model.blocks[layer].ln_1.register_forward_hook(keep(layer)).remove)
        yield entered
