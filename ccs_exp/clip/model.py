"""A CLIP model as the rest of the project sees it: images and texts in, embeddings out, heads by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ccs_exp.clip import encoder
from ccs_exp.clip.attention import HeadAttention, HeadOutputs
from ccs_exp.clip.mlp import Mlp
from ccs_exp.clip.text import kept_text_embeddings, text_blocks
from ccs_exp.clip.tower import Block, OpenClip
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, scored_heads


@dataclass(frozen=True)
class WeightsOrigin:
    """Where the weights came from: a file's SHA-256, and where it lies, or the seed of random weights."""

    description: str
    sha256: str | None
    path: Path | None = None

    @property
    def random(self) -> bool:
        return self.sha256 is None


class ClipModel(nn.Module):
    """An open_clip model whose image heads can be read and silenced; raises `CcsError` as `check_encoder` does.

    Masks are hooks on the model, so one model serves one thread at a time.
    """

    clip: OpenClip

    def __init__(self, clip: OpenClip, tokenizer: Callable, transform: Callable, name: str, origin: WeightsOrigin):
        super().__init__()
        self.clip, self.tokenizer, self.transform = clip.eval().requires_grad_(False), tokenizer, transform
        self.name, self.origin = name, origin
        check_encoder(clip, name)
        for block in [*self.blocks, *text_blocks(clip)]:
            block.attn = HeadAttention.replacing(block.attn)
            block.mlp = Mlp.replacing(block.mlp)

    @property
    def blocks(self) -> Sequence[Block]:
        return self.clip.visual.transformer.resblocks

    @property
    def layers(self) -> int:
        return len(self.blocks)

    @property
    def heads_per_layer(self) -> int:
        return self.blocks[0].attn.num_heads

    @property
    def embedding_dim(self) -> int:
        return self.clip.visual.output_dim

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
        return self.clip.visual.proj.device

    def head_outputs(self, layer: int) -> HeadOutputs:
        """The hook point of a layer: a forward hook on it sees ``z``, ``[batch, heads, tokens, head_dim]``."""
        return self.blocks[layer].attn.head_outputs

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Resize, crop and normalise one image as the checkpoint expects."""
        return self.transform(image)

    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """L2-normalised image embeddings; masks set by `masked` apply. The last block is computed at the class token alone."""
        visual = self.clip.visual
        return F.normalize(encoder.embed(visual, encoder.class_token(visual, pixels)), dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts dim"]:
        """L2-normalised text embeddings, in order, on the model's device."""
        if not texts:
            return torch.empty(0, self.embedding_dim, device=self.device)
        return F.normalize(kept_text_embeddings(self.clip, self.tokenizer, texts, self.device), dim=-1)


def check_encoder(clip: OpenClip, name: str) -> None:
    """Raise `CcsError`, naming what was found, unless the image encoder is a ViT with class-token pooling.

    Refused are timm towers, ResNets, attentional and average pooling, and blocks other than open_clip's `ResidualAttentionBlock`.
    """
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    visual, instead = clip.visual, "Choose a ViT with class-token pooling, such as model.name=ViT-B-16."
    if type(visual) is not VisionTransformer:
        kind = type(visual).__name__
        raise CcsError(
            f"{name} has an image encoder of type {kind}; heads are read from open_clip's VisionTransformer. {instead}"
        )
    if visual.attn_pool is not None or visual.pool_type != "tok":
        pooling = "attentional" if visual.attn_pool is not None else visual.pool_type
        raise CcsError(f"{name} uses {pooling} pooling; the decomposition needs the class token's embedding. {instead}")
    for layer, block in enumerate(visual.transformer.resblocks):
        if type(block) is not ResidualAttentionBlock or not isinstance(block.attn, nn.MultiheadAttention):
            raise CcsError(
                f"{name} has a {type(block).__name__} in layer {layer}, not open_clip's ResidualAttentionBlock. {instead}"
            )
