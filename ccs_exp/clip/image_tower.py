"""An image encoder of any kind that can be decomposed, as the rest of the room sees it: layers of heads, and a read-out; or why none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ccs_exp.clip.layers import Layer, Position
from ccs_exp.clip.pooling import ReadOut

_NO_HEADS = {
    "ModifiedResNet": "a ResNet has no attention heads in its layers",
    "ConvNeXt": "its layers are convolutions, without attention heads",
    "FastVit": "its layers mix tokens by convolution, without attention heads in most of them",
    "SwinTransformer": "its tokens are merged from stage to stage, so that its heads do not write straight to the embedding",
}


class ImageTower(ABC):
    """Pixels to tokens, layer by layer, to an embedding, so that head masks can stand between.

    Args:
        kind: what people call it.
        plain: clip_text_span's shares of biases and means are defined for it (`ccs_exp.clip.readout`).
    """

    def __init__(self, visual: Any, layers: Sequence[Layer], readout: ReadOut, kind: str, plain: bool = False):
        self.visual, self.layers, self.readout, self.kind, self.plain = visual, layers, readout, kind, plain

    @abstractmethod
    def tokens(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens width"]:
        """As they enter the first block."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Tokens and width."""

    def position(self) -> Position:
        """What the blocks' attention is told of the tokens' places."""
        return {}

    @property
    def has_class_token_alone(self) -> bool:
        """Whether the embedding is read from the first token and no other."""
        return self.readout.pool.reads_first_token

    @property
    def coefficients_per_head(self) -> int:
        """Of what a head gives, as far as the embedding depends on it (`ccs_exp.clip.readout`)."""
        return self.readout.pool.heads * self.layers[0].head_dim

    def heads(
        self, layer: int, x: Float[Tensor, "batch tokens width"]
    ) -> tuple[Float[Tensor, "batch heads read head_dim"], Float[Tensor, "batch read width"]]:
        """What a layer's heads give, before the hook point, and what of `x` goes on beside them.

        Of the last layer, at the class token alone where the embedding is read from nowhere else.
        """
        block = self.layers[layer]
        if layer == len(self.layers) - 1 and self.has_class_token_alone:
            return block.first_token_heads(x, self.position()), x[:, :1]
        return block.heads(x, self.position()), x

    def run(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch read width"]:
        """Tokens after the last block, as far as the embedding is read from them."""
        x = self.tokens(pixels)
        for number, layer in enumerate(self.layers):
            z, x = self.heads(number, x)
            x = layer.finish(x, z)
        return x


class OpenClipTower(ImageTower):
    """open_clip's `VisionTransformer`."""

    def tokens(self, pixels: Tensor) -> Tensor:
        return self.visual._embeds(pixels)

    @property
    def shape(self) -> tuple[int, int]:
        tokens, width = self.visual.positional_embedding.shape
        return tokens, width


class TimmTower(ImageTower):
    """timm's `VisionTransformer` in open_clip's `TimmModel`."""

    def tokens(self, pixels: Tensor) -> Tensor:
        trunk = self.visual.trunk
        return trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(pixels))))

    @property
    def shape(self) -> tuple[int, int]:
        trunk = self.visual.trunk
        return trunk.patch_embed.num_patches + trunk.num_prefix_tokens, trunk.embed_dim


class EvaTower(TimmTower):
    """timm's `Eva`, where positions may be rotations of queries and keys."""

    def tokens(self, pixels: Tensor) -> Tensor:
        trunk = self.visual.trunk
        return trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(pixels))[0])

    def position(self) -> Position:
        rope = self.visual.trunk.rope
        return {} if rope is None else {"rope": rope.get_embed()}


class RelPosTower(TimmTower):
    """timm's `VisionTransformerRelPos`, where places are told by a bias of attention, of each layer or of all."""

    def tokens(self, pixels: Tensor) -> Tensor:
        trunk = self.visual.trunk
        x = trunk.patch_embed(pixels)
        return x if trunk.cls_token is None else torch.cat([trunk.cls_token.expand(len(x), -1, -1), x], dim=1)

    def position(self) -> Position:
        shared = self.visual.trunk.shared_rel_pos
        return {} if shared is None else {"shared_rel_pos": shared.get_bias()}


class CannotError(Exception):
    """Why an encoder cannot be decomposed."""


class Found(NamedTuple):
    """An encoder's blocks, how those of each class are read, its read-out, tower and name; `plain`: nothing but open_clip's usual."""

    blocks: Any
    layers: Mapping[type, Callable[[Any], Layer]]
    readout: Callable[[], ReadOut]
    tower: type[ImageTower]
    kind: str
    plain: bool


def unknown(encoder: nn.Module) -> str:
    """What there is to say of a class that is not known."""
    kind = type(encoder).__name__
    return f"its image encoder is a {kind}, and {_NO_HEADS.get(kind, 'nothing is known of how its heads reach the embedding')}"
