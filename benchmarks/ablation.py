"""The kinds of silencing: what means, donors and direct replacement cost beside zeros, and many sets of heads beside the count.

    python benchmarks/ablation.py [--images 200] [--device cpu]

Weights and images are random: nothing here depends on what they show. Targets are for two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import operations
import torch
from encoding import Masks
from timing import Result, close, compare, show
from torch import Tensor

from ccs_exp.clip.ablation import Donors, Means, fingerprints
from ccs_exp.clip.direct import DirectEngine
from ccs_exp.clip.engine import Engine, PlainEngine
from ccs_exp.clip.hooks import observed
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.data.images.batches import ImageBatch
from ccs_exp.scoring.decompose import Decomposition

NAME, BATCH, DONORS = "ViT-B-32", 40, 64


def matched_sets(model: ClipModel, count: int, heads: int) -> Masks:
    """The original and `count` sets with as many heads in each scored layer, drawn anew each time, as layer-matched nulls are."""
    draw, scored = random.Random(0), model.scored_heads
    layers = sorted({head.layer for head in scored})
    sizes = [heads // len(layers) + (place < heads % len(layers)) for place in range(len(layers))]
    of_layer = {layer: [head for head in scored if head.layer == layer] for layer in layers}
    drawn = [[draw.sample(of_layer[layer], size) for layer, size in zip(layers, sizes, strict=True)] for _ in range(count)]
    return [frozenset()] + [frozenset(head for part in parts for head in part) for parts in drawn]


def gathered(model: ClipModel, pixels: Tensor) -> tuple[Means, DirectEngine, Donors]:
    """Means and donors, from some images."""
    decomposition, outputs = Decomposition(model, sums=True), {}
    ids = [str(number) for number in range(len(pixels))]
    with observed(model, range(model.layers), outputs.__setitem__):
        decomposition.test_step(ImageBatch(pixels, torch.zeros(len(pixels)), ids, []), 0)
    sums = decomposition.share_result().sums
    means = Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})
    return means, DirectEngine(sums.mean(sums.coefficients)), Donors(outputs, fingerprints(pixels))


def first_row(ours: Tensor, reference: Tensor) -> str:
    """The original's embeddings, which no kind changes."""
    return close(1e-5)(ours[:, 0], reference[:, 0])


def results(images: int, device: str = "cpu") -> Iterator[Result]:
    model = load_clip(NAME, seed=0, device=device)
    generator = torch.Generator().manual_seed(1)
    draw = lambda count: torch.randn(count, 3, *model.clip.visual.image_size, generator=generator).to(device)  # noqa: E731
    means, direct, donors = gathered(model, draw(DONORS))
    batches = draw(images).split(BATCH)

    def encoded(engine: Engine, masks: Masks, draws: Sequence[int] | None = None) -> Tensor:
        """Of each batch, ``[batches, masks, dim]``, its first image's."""
        ids = [str(number) for number in range(BATCH)]
        return torch.stack([engine.encode(model, batch, masks, ids[: len(batch)], draws)[:, 0] for batch in batches])

    single: Masks = [frozenset(), *(frozenset({head}) for head in model.scored_heads)]
    zero = SharedPrefixEngine()
    title = f"{NAME}, {images} images, {len(single) - 1} single heads"
    for kind, ablation in (("mean", means), ("resample, one seed", donors)):
        yield compare(
            *(f"{title} by {kind}", "by zero"),
            lambda ablation=ablation: encoded(SharedPrefixEngine(1, ablation), single),
            lambda: encoded(zero, single),
            first_row,
            repeats=1 if images > BATCH else 3,
            target=1.15 if kind == "mean" else None,
            at_most=True,
        )
    yield compare(
        *(f"{title} by direct", "one plain pass"),
        lambda: encoded(direct, single),
        lambda: encoded(PlainEngine(), [frozenset()]),
        first_row,
        repeats=3,
        target=1.3,
        at_most=True,
    )
    sets = matched_sets(model, 200, 10)
    limit = len(sets) * operations.full_pass(model) / operations.shared(model, sets)
    one = compare(
        *(f"{NAME}, {images} images, 200 matched sets of 10 heads", "a plain pass for each, of which one was timed"),
        lambda: encoded(zero, sets),
        lambda: encoded(PlainEngine(), [frozenset()]),
        first_row,
        repeats=1 if images > BATCH else 3,
    )
    yield replace(
        one, reference=len(sets) * one.reference, ratio=len(sets) * one.ratio, target=round(0.9 * limit, 2), limit=limit
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    with torch.inference_mode():
        sys.exit(not show(results(arguments.images, arguments.device), f"Kinds of silencing, {torch.get_num_threads()} threads"))


if __name__ == "__main__":
    main()
