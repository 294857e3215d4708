"""What an architecture looks like, and what encoding by it needs in memory, known before a model is loaded."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ccs_exp.clip.image_tower import ImageTower
from ccs_exp.clip.kinds import image_tower
from ccs_exp.clip.linear import PACKED
from ccs_exp.clip.loading import unloaded
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.text import TEXT_BATCH
from ccs_exp.errors import CcsError

_NUMBER = 4  # bytes, in single precision


class EncoderShape(NamedTuple):
    """Of an image encoder."""

    layers: int
    heads_per_layer: int
    pixels: int  # numbers that an image is: 3 x height x width
    tokens: int
    width: int
    class_token_alone: bool  # whether the embedding is read from the first token and no other
    coefficients_per_head: int
    embedding: int  # dimensions


def encoder_shape(name: str, architecture: str | None = None, repository: bool = False) -> EncoderShape | None:
    """None for an unknown name, a repository that is not here, or an encoder whose heads cannot be read. As `loading.unloaded`."""
    try:
        clip = unloaded(name, architecture, repository)
        return shape_of(clip, image_tower(clip, name))
    except CcsError:
        return None


def shape_of(clip: OpenClip, tower: ImageTower) -> EncoderShape:
    height, width = clip.visual.image_size
    alone, coefficients, embedding = tower.has_class_token_alone, tower.coefficients_per_head, tower.readout.dim
    return EncoderShape(
        len(tower.layers), tower.layers[0].num_heads, 3 * height * width, *tower.shape, alone, coefficients, embedding
    )


class MemoryNeed(NamedTuple):
    """Bytes: of the `weights` (and of packed copies of linear layers, on a CPU that has them), and of what is computed beside them."""

    weights: int
    activations: int


def memory_need(
    name: str,
    architecture: str | None,
    repository: bool = False,
    *,
    batch_size: int,
    stack_size: int,
    on_cpu: bool,
    parting_layers: int,
    workers: int,
) -> MemoryNeed:
    """Of evaluating any number of conditions, known from the model's shape.

    Counted in copies of a batch's activations ``[batch, tokens, width]``: the walk down the tree of masks keeps two (what enters a
    layer, and its heads' outputs) for each branch of a stack in each of the `parting_layers`, in which masks can part, but the
    last; and computes with five more for each branch, on a device other than a CPU, where the MLP is not computed in pieces, with
    thirteen. Beside them lie the batches that `workers` have decoded ahead. Texts are encoded at another time: the larger counts.
    """
    clip = unloaded(name, architecture, repository)
    tokens, width = image_tower(clip, name).shape
    copies = stack_size * (2 * (parting_layers - 1) + (5 if on_cpu else 13))
    weights = sum(parameter.numel() for parameter in clip.parameters())
    if on_cpu and PACKED:
        weights += sum(module.weight.numel() for module in clip.modules() if isinstance(module, nn.Linear))
        packed = (module.in_proj_weight for module in clip.modules() if isinstance(module, nn.MultiheadAttention))
        weights += sum(weight.numel() for weight in packed if weight is not None)  # None: a pool of CoCa's, which is torch's own
    pixels = batch_size * 3 * clip.visual.image_size[0] * clip.visual.image_size[1]
    images = copies * batch_size * tokens * width + (2 * workers + 2) * pixels
    positions = getattr(getattr(clip, "text", clip), "positional_embedding", None)  # None: a text tower of transformers
    texts = TEXT_BATCH * positions.numel() * (8 if on_cpu else 13) if positions is not None else 0
    return MemoryNeed(_NUMBER * weights, _NUMBER * max(images, texts))


def stated(need: MemoryNeed, device: str) -> str:
    """One line for people.

    >>> stated(MemoryNeed(6 * 10**8, 25 * 10**7), "a CPU")
    'about 0.85 GB on a CPU, beside the libraries (weights 0.60, batches up to 0.25)'
    """
    weights, batches = need.weights / 1e9, need.activations / 1e9
    return f"about {weights + batches:.2f} GB on {device}, beside the libraries (weights {weights:.2f}, batches up to {batches:.2f})"
