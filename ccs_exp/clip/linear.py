"""Linear maps on a CPU with AVX-512 by oneDNN, with weights packed once.

Torch multiplies single-precision matrices on a CPU by MKL, which uses AVX-512 on Intel's processors only. On an AMD machine measured
earlier oneDNN was twice as fast, which that explains; on an Intel one with AVX-512 it is as fast as MKL (0.97 to 1.13 times), and on an
AMD one with AVX2 alone no faster either, where its GELU takes five times as long as torch's. Torch's compiler uses the same packed
kernels; here they are called without compiling. On other processors, devices and precisions, under autocast, and where gradients flow,
these are torch's ordinary functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor, UntypedStorage, nn
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

PACKED = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"
# every so many numbers; primes, so that rows and columns are all met; of a large matrix a head's part is large too
_SAMPLED, _SAMPLED_OF_LARGE, _LARGE = 61, 1009, 1 << 18
_packed_weights: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


class PackedLinear(nn.Linear):
    """`nn.Linear` by way of `linear`."""

    @classmethod
    def replacing(cls, layer: nn.Linear) -> Self:
        """Take over the parameters of `layer`."""
        with torch.device("meta"):
            replacement = cls(layer.in_features, layer.out_features, bias=layer.bias is not None)
        replacement.weight, replacement.bias = layer.weight, layer.bias
        return replacement.train(layer.training)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        return linear(x, self.weight, self.bias)


def pack_layers(module: nn.Module) -> None:
    """Put a `PackedLinear` in the place of every plain `nn.Linear` below `module`."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, PackedLinear.replacing(child))
        else:
            pack_layers(child)


def linear(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None,
    post_op: tuple[str, list, str] = ("none", [], ""),
) -> Float[Tensor, "*batch outputs"]:
    """``x @ weight.T + bias``; on packed weights followed by oneDNN's `post_op`, which callers ask for where `packs` says so only."""
    if not packs(x, weight):
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, _packed(weight), bias, *post_op)


def packs(x: Tensor, weight: Tensor) -> bool:
    """Whether `linear` of `x` goes by packed weights."""
    return PACKED and infers_on_cpu(x, weight)


def infers_on_cpu(x: Tensor, weight: Tensor) -> bool:
    """Whether a product of the two is plain arithmetic on a CPU: single precision, no gradients."""
    return (
        x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not torch.is_autocast_enabled("cpu")
    )


class _Packed(NamedTuple):
    """A packed weight, and by what its source is known not to have changed since."""

    weight: Tensor
    storage: UntypedStorage  # held, so that no other tensor can come to lie at its address
    version: int
    sample: float


def _packed(weight: Tensor) -> Tensor:
    """The weight in oneDNN's layout, made anew when the weight was changed.

    Torch counts changes in place, but not those through ``.data``, nor those of tensors made in inference mode, so a sample of the
    numbers is compared too: it sees a silenced head, a scaled or replaced matrix, not a single number changed behind torch's back.
    """
    storage, version = weight.untyped_storage(), 0 if weight.is_inference() else weight._version
    every = _SAMPLED if weight.numel() < _LARGE else _SAMPLED_OF_LARGE
    sample = float(weight.detach().reshape(-1)[::every].sum())
    kept = _packed_weights.get(weight)
    same = kept is not None and (kept.storage.data_ptr(), kept.version) == (storage.data_ptr(), version)
    if not (same and (kept.sample == sample or (math.isnan(kept.sample) and math.isnan(sample)))):
        layout = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        kept = _packed_weights[weight] = _Packed(layout, storage, version, sample)
    return kept.weight
