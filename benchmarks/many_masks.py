"""The evidence of many masks beside a pass each: matched sets, a dose-response, and every head alone by its mean.

    python benchmarks/many_masks.py [--device cpu] [--batch 8]

The reference is one full masked pass by the same kernels (`engine=plain`), times the number of masks. The limit is by operation count.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

import operations
import torch
from encoding import Masks
from timing import Result, close, compare, show

from ccs_exp.clip.ablation import Ablation, Means
from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.data.images.batches import ImageBatch
from ccs_exp.pruning.designs import matched_sets, nested
from ccs_exp.scoring.decompose import Decomposition

NAME, BATCH = "ViT-B-32", 8
OF_LIMIT = 0.9


def drawn_sets(model: ClipModel, draws: int, heads: int = 10) -> Masks:
    """The original, and random sets with as many heads in each layer as one of `heads` heads: a null's."""
    tested = frozenset(random.Random(0).sample(model.scored_heads, heads))
    return [frozenset(), *matched_sets(tested, model.scored_heads, draws)]


def means_over(model: ClipModel, pixels: torch.Tensor) -> Means:
    """What ``ablation=mean`` puts in the place of outputs, from these images."""
    decomposition, count = Decomposition(model, sums=True), len(pixels)
    decomposition.test_step(ImageBatch(pixels, torch.zeros(count), [str(number) for number in range(count)], []), 0)
    sums = decomposition.share_result().sums
    return Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})


def dose_response(model: ClipModel, orders: int) -> Masks:
    """Every size of each of some random orders of the scored heads; the empty set once."""
    draw, scored = random.Random(0), list(model.scored_heads)
    return list(dict.fromkeys(mask for _ in range(orders) for mask in nested(draw.sample(scored, len(scored)))))


def results(device: str = "cpu", small: bool = False, batch: int = BATCH) -> Iterator[Result]:
    model = load_clip(NAME, seed=0, device=device)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2 if small else batch, 3, *model.image_size, generator=generator).to(device)
    single: Masks = [frozenset(), *(frozenset({head}) for head in model.scored_heads)]
    cases: list[tuple[str, Masks, Ablation]] = [
        ("200 matched sets of 10 heads", drawn_sets(model, 2 if small else 200), Ablation()),
        ("dose-response, 48 steps x 10 orders", dose_response(model, 1 if small else 10), Ablation()),
        ("every head alone by mean", single, means_over(model, pixels)),
    ]
    for name, masks, ablation in cases:
        limit = len(masks) * operations.full_pass(model) / operations.shared(model, masks)
        part = slice(None, None, max(20, len(masks) // 8))  # the other side's passes are all alike: it does some of them
        shared, plain = SharedPrefixEngine(1, ablation), PlainEngine(ablation)
        passes = shared.layer_passes(model.layers, masks)
        yield compare(
            f"{NAME}, {name}, batch {len(pixels)}: {passes:,} layer passes of {model.layers * len(masks):,}",
            "engine=plain, a pass each",
            lambda shared=shared, masks=masks, part=part: shared.encode(model, pixels, masks)[part],
            lambda plain=plain, masks=masks, part=part: plain.encode(model, pixels, masks[part]),
            close(1e-5),
            repeats=1 if small else 2,
            times=len(masks) / len(masks[part]),
            target=round(OF_LIMIT * limit, 2),
            limit=limit,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=BATCH)
    arguments = parser.parse_args()
    with torch.inference_mode():
        sys.exit(not show(results(arguments.device, batch=arguments.batch), f"Many masks, {torch.get_num_threads()} threads"))


if __name__ == "__main__":
    main()
