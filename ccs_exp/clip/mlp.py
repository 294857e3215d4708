"""A transformer block's MLP, in pieces that stay in a CPU's cache."""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from ccs_exp.clip.linear import infers_on_cpu, linear, packs

# The hidden layer of so many rows lies in the last-level cache; on a CPU larger pieces lose a tenth of the speed (benchmarks/encoding.py).
_ROWS = 1024
_QUICK = 1.702  # QuickGELU is x * sigmoid(1.702 x)


class Mlp(nn.Sequential):
    """open_clip's MLP with the same parameters under the same names, and the same numbers up to rounding."""

    c_fc: nn.Linear
    gelu: nn.Module
    c_proj: nn.Linear

    @classmethod
    def replacing(cls, mlp: nn.Sequential) -> Mlp:
        """Take over the layers ``c_fc``, ``gelu`` and ``c_proj`` of `mlp`."""
        return cls(OrderedDict(mlp.named_children())).train(mlp.training)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in self)
        if hooked or not infers_on_cpu(x, self.c_fc.weight):
            return super().forward(x)
        rows = x.reshape(-1, x.shape[-1])
        if rows.shape[0] <= _ROWS:
            return self._rows(rows).view(x.shape)
        out = torch.empty_like(rows)
        for piece, place in zip(rows.split(_ROWS), out.split(_ROWS), strict=True):
            place.copy_(self._rows(piece))
        return out.view(x.shape)

    def _rows(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        activation = self.gelu
        if type(activation) is nn.GELU and packs(rows, self.c_fc.weight):
            hidden = linear(rows, self.c_fc.weight, self.c_fc.bias, ("gelu", [], activation.approximate))
        elif type(activation) is QuickGELU:
            hidden = linear(rows, self.c_fc.weight, self.c_fc.bias)
            # silu(1.702 x) / 1.702 is QuickGELU without its two temporaries
            hidden = nn.functional.silu(hidden.mul_(_QUICK), inplace=True).div_(_QUICK)
        else:
            hidden = activation(linear(rows, self.c_fc.weight, self.c_fc.bias))
        return linear(hidden, self.c_proj.weight, self.c_proj.bias)
