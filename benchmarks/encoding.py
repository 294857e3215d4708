"""Images under many head masks, the plain embedding, and decomposition, against full passes.

    python benchmarks/encoding.py [--device cpu]

The first reference is one full masked pass for each condition by the same kernels (`engine=plain`), so that its ratio shows shared work
alone. The second is what one would do with open_clip itself: its own encoder, a head's columns of ``out_proj.weight`` zeroed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence

import operations
import torch
from timing import Result, close, compare, show
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.loading import load_clip, open_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import read_heads
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.heads import Head
from ccs_exp.scoring.moments import HeadMoments

Masks = Sequence[frozenset[Head]]


def paper_masks(model: ClipModel, count: int) -> Masks:
    """Original, high, low and random conditions by size: the paper silences about a sixth of the scored heads."""
    draw, scored = random.Random(0), list(model.scored_heads)
    return [frozenset()] + [frozenset(draw.sample(scored, len(scored) // 6)) for _ in range(count - 1)]


class OpenClipEngine:
    """open_clip's own encoder, one pass for each mask, heads silenced in its weights."""

    def __init__(self, name: str, device: str):
        self.clip = open_clip.create_model(name, device=device).eval()

    @torch.no_grad()
    def load(self, model: ClipModel) -> OpenClipEngine:
        self.clip.load_state_dict(model.clip.state_dict())
        return self

    def encode(self, pixels: Tensor, masks: Masks) -> Tensor:
        blocks, embeddings = self.clip.visual.transformer.resblocks, []
        for mask in masks:
            kept = {layer: blocks[layer].attn.out_proj.weight.clone() for layer in {head.layer for head in mask}}
            for head in mask:
                width = blocks[head.layer].attn.head_dim
                blocks[head.layer].attn.out_proj.weight.data[:, head.index * width : (head.index + 1) * width] = 0
            embeddings.append(F.normalize(self.clip.encode_image(pixels), dim=-1))
            for layer, weight in kept.items():
                blocks[layer].attn.out_proj.weight.data.copy_(weight)
        return torch.stack(embeddings)


def same_predictions(classes: int = 1000) -> object:
    """Embeddings within 1e-5, and the same class for every image but where the reference's two best are within 1e-4."""

    def agree(ours: Tensor, reference: Tensor) -> str:
        text = close(1e-5)(ours, reference)
        generator = torch.Generator().manual_seed(0)
        classifier = F.normalize(torch.randn(classes, ours.shape[-1], generator=generator), dim=-1).to(ours.device)
        a, b = ours @ classifier.T, reference @ classifier.T
        best = b.topk(2, dim=-1).values
        clear = best[..., 0] - best[..., 1] >= 1e-4
        differ = a.argmax(dim=-1) != b.argmax(dim=-1)
        if (differ & clear).any():
            raise SystemExit(f"{int((differ & clear).sum())} predictions differ")
        return f"{text}, predictions equal ({int((~clear).sum())} of {clear.numel()} near ties, {int((differ & ~clear).sum())} differ)"

    return agree


def conditions(name: str, masks: str, batch: int, device: str, target: float, repeats: int) -> Iterator[Result]:
    model = load_clip(name, seed=0, device=device)
    chosen = paper_masks(model, 10) if masks == "10 conditions" else [frozenset({head}) for head in model.scored_heads]
    pixels = torch.randn(batch, 3, *model.clip.visual.image_size, generator=torch.Generator().manual_seed(1)).to(device)
    shared, plain, peer = SharedPrefixEngine(), PlainEngine(), OpenClipEngine(name, device).load(model)
    limit = len(chosen) * operations.full_pass(model) / operations.shared(model, chosen)
    title = f"{name}, {masks}, batch {batch}"
    part = slice(None, None, 3 if len(chosen) <= 10 else 8)  # the other side's passes are all alike: it does some of them
    times = len(chosen) / len(chosen[part])
    yield compare(
        *(title, "engine=plain, a pass each"),
        lambda: shared.encode(model, pixels, chosen)[part],
        lambda: plain.encode(model, pixels, chosen[part]),
        same_predictions(),
        repeats=repeats,
        times=times,
        target=target,
        limit=limit,
    )
    yield compare(
        *(title, "open_clip, a pass each"),
        lambda: shared.encode(model, pixels, chosen)[part],
        lambda: peer.encode(pixels, chosen[part]),
        same_predictions(),
        repeats=max(1, repeats - 2),
        times=times,
    )


def baseline(name: str, batches: Sequence[int], device: str) -> Iterator[Result]:
    model = load_clip(name, seed=0, device=device)
    peer = OpenClipEngine(name, device).load(model).clip
    limit = operations.full_pass(model) / operations.shared(model, [frozenset()])
    for batch in batches:
        pixels = torch.randn(batch, 3, *model.clip.visual.image_size, generator=torch.Generator().manual_seed(1)).to(device)
        yield compare(
            *(f"{name}, embedding, batch {batch}", "open_clip encode_image"),
            lambda pixels=pixels: model.encode_images(pixels),
            lambda pixels=pixels: F.normalize(peer.encode_image(pixels), dim=-1),
            close(1e-5),
            repeats=max(5 if batch < 64 else 3, 64 // batch),
            target=1.0,
            limit=limit,
        )


def decomposition(name: str, batch: int, device: str) -> Iterator[Result]:
    model = load_clip(name, seed=0, device=device)
    peer = OpenClipEngine(name, device).load(model).clip
    pixels = torch.randn(batch, 3, *model.clip.visual.image_size, generator=torch.Generator().manual_seed(1)).to(device)
    heads = model.scored_heads
    layers = range(heads[0].layer, heads[-1].layer + 1)

    def decompose() -> Tensor:
        readout = read_heads(model, pixels, layers)
        HeadMoments.of(heads, readout.coefficients)
        return readout.embedding

    for against, reference in (
        ("open_clip encode_image", lambda: F.normalize(peer.encode_image(pixels), dim=-1)),
        ("our embedding", lambda: model.encode_images(pixels)),
    ):
        yield compare(
            *(f"{name}, decomposition of {len(heads)} heads, batch {batch}", against),
            decompose,
            reference,
            close(1e-5),
            target=1.06,
            at_most=True,
        )


def results(device: str = "cpu", small: bool = False) -> Iterator[Result]:
    if small:
        yield from conditions("ViT-B-32", "10 conditions", 1, device, 3.0, 1)
        yield from baseline("ViT-B-32", (1,), device)
        yield from decomposition("ViT-B-32", 1, device)
        return
    batch = 16 if device == "cpu" else 256
    yield from conditions("ViT-B-32", "10 conditions", batch, device, 3.0, 5)
    yield from conditions("ViT-L-14", "10 conditions", 2 if device == "cpu" else 64, device, 4.5, 3)
    yield from conditions("ViT-B-32", "48 single heads", batch, device, 7.0, 3)
    yield from baseline("ViT-B-32", (1, 4, 16, 64, 128), device)
    yield from decomposition("ViT-B-32", 32 if device == "cpu" else 256, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    with torch.inference_mode():
        sys.exit(not show(results(arguments.device), "Encoding"))


if __name__ == "__main__":
    main()
