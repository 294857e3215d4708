"""The text encoder: texts of like length together, and no padding computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from open_clip import CLIP, CustomTextCLIP
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, text_global_pool
from torch import Tensor, nn

from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.journal.screen import progress
from ccs_exp.store import as_bytes, code_of, kept_tensor

TEXT_BATCH = 256  # part of what a text embedding depends on in floating point, so it is fixed


def text_blocks(clip: OpenClip) -> list[ResidualAttentionBlock]:
    """The blocks of open_clip's own text tower; none where a model has another."""
    blocks = clip.transformer.resblocks if type(clip) is CLIP else []
    return [block for block in blocks if type(block) is ResidualAttentionBlock]


def encode_texts(
    clip: OpenClip, tokenizer: Callable, texts: Sequence[str], device: torch.device, *, shown: bool = False
) -> Float[Tensor, "texts dim"]:
    """Text embeddings in the order of `texts`, not normalised.

    Texts are encoded by length, each batch cut to its longest, where the tower is causal and reads out at the end token: what
    follows that cannot matter, and cutting is exact. Others (SigLIP, CLIPA, CoCa) read whole texts.

    `shown`: with a progress bar, unless it is soon done.
    """
    tokens = tokenizer(list(texts))
    lengths = tokens.argmax(dim=-1) + 1  # the end token has the highest number of the vocabulary
    tower = _causal_tower(clip)
    order = torch.arange(len(tokens)) if tower is None else lengths.argsort(stable=True)
    encoded = []
    with progress("texts", shown and (tower is None or len(tokens) > TEXT_BATCH)) as bar:
        task = bar.add_task("Encoding texts", total=len(tokens))
        for rows in order.split(TEXT_BATCH):
            batch = tokens[rows].to(device, non_blocking=True)
            encoded.append(clip.encode_text(batch) if tower is None else encode_cut(tower, batch[:, : lengths[rows[-1]]]))
            bar.advance(task, len(rows))
    embeddings = torch.cat(encoded)
    return torch.empty_like(embeddings).index_copy_(0, order.to(embeddings.device), embeddings)


def kept_text_embeddings(
    clip: nn.Module, tokenizer: Callable, texts: Sequence[str], device: torch.device, *, shown: bool = False
) -> Float[Tensor, "texts dim"]:
    """`encode_texts`, from the store where the same weights have encoded the same texts before."""
    key = {
        "texts": hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest(),
        "count": len(texts),
        "text_tower": _text_tower(clip),
        "tokens": hashlib.sha256(as_bytes(tokenizer(list(texts)))).hexdigest(),
        "batch": TEXT_BATCH,
        "device": device.type,
        "precision": _precision(device),
        "code": code_of(__name__, "ccs_exp.clip.attention", "ccs_exp.clip.mlp"),  # what its blocks compute with
    }
    return kept_tensor(
        "text_embeddings", key, lambda: encode_texts(clip, tokenizer, texts, device, shown=shown), shape=(len(texts), None)
    ).to(device)


def _text_tower(clip: nn.Module) -> str:
    """SHA-256 of all that is not the image encoder: its numbers as they are now, its modules and their settings."""
    digest = hashlib.sha256()
    for name, module in clip.named_modules():
        if name.split(".")[0] != "visual":
            settings = {key: value for key, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple))}
            digest.update(f"{name} {type(module).__name__} {module.extra_repr()} {sorted(settings.items())}".encode())
    tensors = [*clip.named_parameters(), *clip.named_buffers()]  # a mask that is not saved counts too
    for name, value in tensors:
        if not name.startswith("visual."):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(as_bytes(value))
    return digest.hexdigest()


def _precision(device: torch.device) -> str:
    return str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else "as the weights"


def _causal_tower(clip: OpenClip) -> Any:
    """The module that holds the text tower's parts; None where it is not causal or not read out at the end token."""
    if type(clip) is CLIP:
        return clip if clip.attn_mask is not None and clip.text_pool_type == "argmax" else None
    tower: Any = clip.text if type(clip) is CustomTextCLIP else None
    known = type(tower) is TextTransformer and tower.cls_emb is None  # which would stand after the last token
    return tower if known and tower.attn_mask is not None and tower.pool_type == "argmax" else None


def encode_cut(tower: OpenClip, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch dim"]:
    """Embeddings of tokens whose context is cut; every text's end token must lie within `length`."""
    length, dtype = tokens.shape[1], tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    pooled = text_global_pool(tower.ln_final(x), tokens, "argmax")  # [batch, width]
    projection = tower.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
