"""From the tokens after the last block to the image embedding, and that way frozen for each image.

    tokens -> norm of each -> pool -> norm of the pooled -> projection

With the pool's attention and the deviations of the norms held as they are for an image, the embedding is linear in what is written to the
tokens: ``a[t]``, written to token t by anything, adds to the normalised embedding

    c = sum_p (sum_t w[p, t] a[t]) G[p],       w[p, t] = A[p, t] / (sigma_t sigma n)

where p are the pool's heads (one, where there is no attentional pool), A is what the pool gives token t, sigma_t and sigma the deviations
in the two norms, n the norm of the embedding; G is the same for all images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.layers import deviation, float64, through_norm


class Pool(ABC):
    """From normed tokens to one vector."""

    heads = 1
    reads_first_token = False  # and no other

    @abstractmethod
    def __call__(self, y: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch pooled"]: ...

    @abstractmethod
    def weights(self, y: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "#batch heads tokens"]:
        """A, in double precision."""

    def through(self, rows: Float[Tensor, "heads k width"]) -> Float[Tensor, "pool_heads heads k pooled"]:
        """What each of the pool's heads makes of rows of its input, float64, on the CPU."""
        return rows[None]


class FirstToken(Pool):
    """The class token."""

    reads_first_token = True

    def __call__(self, y: Tensor) -> Tensor:
        return y[:, 0]

    def weights(self, y: Tensor) -> Tensor:
        return float64(torch.ones(1, 1, 1, device=y.device))


class Average(Pool):
    """The mean of all tokens but the first `left_out`."""

    def __init__(self, left_out: int):
        self.left_out = left_out

    def __call__(self, y: Tensor) -> Tensor:
        return y[:, self.left_out :].mean(dim=1)

    def weights(self, y: Tensor) -> Tensor:
        pooled = float64(torch.ones(1, 1, y.shape[1] - self.left_out, device=y.device)) / (y.shape[1] - self.left_out)
        return nn.functional.pad(pooled, (self.left_out, 0))


class AttentionalPool(Pool):
    """Attention of one query over the tokens.

    `through` is of the values and the output projection alone: their biases belong to no token, and what follows in the pool, SigLIP's
    MLP, is a component of its own.
    """

    module: Any

    @abstractmethod
    def query_and_keys(self, y: Tensor) -> tuple[Float[Tensor, "heads head_dim"], Float[Tensor, "batch heads tokens head_dim"]]: ...

    @abstractmethod
    def values(self) -> Float[Tensor, "pooled width"]: ...

    @abstractmethod
    def output(self) -> nn.Linear: ...

    def weights(self, y: Tensor) -> Tensor:
        q, k = self.query_and_keys(y)
        logits = torch.einsum("hd,bhtd->bht", float64(q), float64(k)) / q.shape[-1] ** 0.5
        return logits.softmax(dim=-1)

    def through(self, rows: Tensor) -> Tensor:
        value = self.values().double().cpu().unflatten(0, (self.heads, -1))  # [heads, head_dim, width]
        output = self.output().weight.double().cpu().unflatten(1, (self.heads, -1)).permute(1, 2, 0)  # [heads, head_dim, pooled]
        return torch.einsum("hkw,pwo->phko", rows, value.transpose(1, 2) @ output)


class LatentQuery(AttentionalPool):
    """timm's `AttentionPoolLatent` over all tokens but the first `left_out`: SigLIP, SigLIP 2, PE-Core."""

    def __init__(self, module: Any, left_out: int):
        self.module, self.left_out, self.heads = module, left_out, module.num_heads

    def __call__(self, y: Tensor) -> Tensor:
        return self.module(y[:, self.left_out :])

    def query_and_keys(self, y: Tensor) -> tuple[Tensor, Tensor]:
        module = self.module
        q = module.q(module.latent)[0, 0].unflatten(-1, (self.heads, -1))
        k = module.kv(y).chunk(2, dim=-1)[0].unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return module.q_norm(q), module.k_norm(k)

    def weights(self, y: Tensor) -> Tensor:
        return nn.functional.pad(super().weights(y[:, self.left_out :]), (self.left_out, 0))

    def values(self) -> Tensor:
        return self.module.kv.weight.chunk(2)[1]

    def output(self) -> nn.Linear:
        return self.module.proj


class FirstQuery(AttentionalPool):
    """CoCa's `AttentionalPooler`, of whose queries the first alone reaches the embedding; its norm of the tokens stands before."""

    def __init__(self, module: Any):
        self.module, self.heads = module, module.attn.num_heads

    def __call__(self, y: Tensor) -> Tensor:
        query = self.module.ln_q(self.module.query[:1]).expand(len(y), 1, -1)
        return self.module.attn(query, y, y, need_weights=False)[0][:, 0]

    def _weights(self) -> Sequence[Tensor]:
        attention = self.module.attn
        if attention._qkv_same_embed_dim:
            return attention.in_proj_weight.chunk(3)
        return attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight

    def query_and_keys(self, y: Tensor) -> tuple[Tensor, Tensor]:
        (w_q, w_k, _), (b_q, b_k, _) = self._weights(), self.module.attn.in_proj_bias.chunk(3)
        q = nn.functional.linear(self.module.ln_q(self.module.query[0]), w_q, b_q).unflatten(-1, (self.heads, -1))
        return q, nn.functional.linear(y, w_k, b_k).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def values(self) -> Tensor:
        return self._weights()[2]

    def output(self) -> nn.Linear:
        return self.module.attn.out_proj


class ReadOut(ABC):
    """The way from tokens to embedding; norms are None where there is none."""

    def __init__(self, norm: nn.LayerNorm | None, pool: Pool, norm_after: nn.LayerNorm | None, visual: Any):
        self.norm, self.pool, self.norm_after, self.visual = norm, pool, norm_after, visual

    @property
    @abstractmethod
    def dim(self) -> int:
        """Of the embedding."""

    @abstractmethod
    def project(self, pooled: Float[Tensor, "batch pooled"]) -> Float[Tensor, "batch dim"]: ...

    @abstractmethod
    def matrix(self) -> Float[Tensor, "pooled dim"]:
        """Of `project`, without its bias; float64, on the CPU."""

    def embed(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch dim"]:
        """The embedding, not normalised."""
        pooled = self.pool(x if self.norm is None else self.norm(x))
        return self.project(pooled if self.norm_after is None else self.norm_after(pooled))

    def weights(
        self, x: Float[Tensor, "batch tokens width"], length: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch pool_heads tokens"]:
        """w of each image, in double precision; `length`: n of each."""
        y = x if self.norm is None else self.norm(x)
        divisor = length[:, None, None]
        if self.norm_after is not None:
            divisor = deviation(self.norm_after, self.pool(y))[:, None, None] * divisor
        if self.norm is not None:
            divisor = deviation(self.norm, x)[:, None] * divisor
        return self.pool.weights(y) / divisor

    def maps(
        self, rows: Float[Tensor, "heads k width"], zeros: int = 0
    ) -> Float[Tensor, "heads coefficients dim"]:
        """What rows that are written to the residual stream become by G, those of a head for each of the pool's heads in turn, and below
        them so many rows of zeros."""
        rows = self.pool.through(rows if self.norm is None else through_norm(self.norm, rows))
        rows = rows if self.norm_after is None else through_norm(self.norm_after, rows)
        rows = rows.transpose(0, 1).flatten(1, 2)
        return nn.functional.pad(rows, (0, 0, 0, zeros)) @ self.matrix()


class OpenClipReadOut(ReadOut):
    """Of open_clip's `VisionTransformer`."""

    @property
    def dim(self) -> int:
        return self.visual.proj.shape[1]

    def project(self, pooled: Tensor) -> Tensor:
        return pooled @ self.visual.proj

    def matrix(self) -> Tensor:
        return self.visual.proj.double().cpu()


class LinearReadOut(ReadOut):
    """Of open_clip's `TimmModel`: none, one or two linear layers, of timm's trunk and of the wrapper."""

    @property
    def linear(self) -> list[nn.Linear]:
        return [layer for layer in (self.visual.trunk.head, *self.visual.head.children()) if isinstance(layer, nn.Linear)]

    @property
    def dim(self) -> int:
        return self.linear[-1].out_features if self.linear else self.visual.trunk.embed_dim

    def project(self, pooled: Tensor) -> Tensor:
        for layer in self.linear:
            pooled = layer(pooled)
        return pooled

    def matrix(self) -> Tensor:
        found = torch.eye(self.visual.trunk.embed_dim, dtype=torch.float64)
        for layer in self.linear:
            found = found @ layer.weight.double().cpu().T
        return found
