"""A CLIP model as the rest of the project sees it: images and texts in, embeddings out, heads by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ccs_exp.clip.attention import HeadAttention, HeadOutputs
from ccs_exp.clip.kinds import image_tower
from ccs_exp.clip.mlp import Mlp
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.text import kept_text_embeddings, text_blocks
from ccs_exp.heads import Head, scored_heads


@dataclass(frozen=True)
class WeightsOrigin:
    """Where the weights came from: a file's SHA-256, and where it lies, or the seed of random weights.

    With `repository` they are those of the repository or folder `description`, and the digest is of all its files.
    """

    description: str
    sha256: str | None
    path: Path | None = None
    repository: bool = False

    @property
    def random(self) -> bool:
        return self.sha256 is None


class ClipModel(nn.Module):
    """An open_clip model whose image heads can be read and silenced; raises `CcsError` as `ccs_exp.clip.kinds.check_encoder` does.

    `tower` is its image encoder, whatever its kind.

    Masks are hooks on the model, so one model serves one thread at a time.
    """

    clip: OpenClip

    def __init__(self, clip: OpenClip, tokenizer: Callable, transform: Callable, name: str, origin: WeightsOrigin):
        super().__init__()
        self.clip, self.tokenizer, self.transform = clip.eval().requires_grad_(False), tokenizer, transform
        self.name, self.origin = name, origin
        self.tower = image_tower(clip, name)
        for block in text_blocks(clip):
            block.attn = HeadAttention.replacing(block.attn)
            block.mlp = Mlp.replacing(block.mlp)

    @property
    def blocks(self) -> Sequence[Any]:
        """The layers' own modules, which are of the library that the encoder is of."""
        return [layer.block for layer in self.tower.layers]

    @property
    def layers(self) -> int:
        return len(self.tower.layers)

    @property
    def heads_per_layer(self) -> int:
        return self.tower.layers[0].num_heads

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the pixels."""
        height, width = self.clip.visual.image_size
        return height, width

    @property
    def embedding_dim(self) -> int:
        return self.tower.readout.dim

    @property
    def logit_scale(self) -> float:
        """What similarities are multiplied by to become logits."""
        return float(self.clip.get_parameter("logit_scale").exp())

    @property
    def logit_bias(self) -> float | None:
        """What sigmoid-trained models add to logits; None for those trained with a softmax."""
        bias = getattr(self.clip, "logit_bias", None)
        return None if bias is None else float(bias)

    @property
    def scored_heads(self) -> tuple[Head, ...]:
        """The heads of the last four layers (paper, section 1)."""
        return scored_heads(self.layers, self.heads_per_layer)

    @property
    def device(self) -> torch.device:
        return self.clip.get_parameter("logit_scale").device

    def head_outputs(self, layer: int) -> HeadOutputs:
        """The hook point of a layer: a forward hook on it sees ``z``, ``[batch, heads, tokens, head_dim]``."""
        return self.tower.layers[layer].head_outputs

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Resize, crop and normalise one image as the checkpoint expects."""
        return self.transform(image)

    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """L2-normalised image embeddings; masks set by `masked` apply. Where the embedding is read from the class token, the last block
        is computed there alone."""
        return F.normalize(self.tower.readout.embed(self.tower.run(pixels)), dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], *, progress: bool = False) -> Float[Tensor, "texts dim"]:
        """L2-normalised text embeddings, in order, on the model's device. `progress`: show how far it is."""
        if not texts:
            return torch.empty(0, self.embedding_dim, device=self.device)
        return F.normalize(kept_text_embeddings(self.clip, self.tokenizer, texts, self.device, shown=progress), dim=-1)
