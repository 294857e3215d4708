"""The evidence of many masks beside a pass each: matched sets, a dose-response, and every head alone by its mean.

    python benchmarks/many_masks.py [--device cpu] [--batch 16]

The reference is one full masked pass by the same kernels (`engine=plain`), times the number of masks. The limit is by operation count.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

import operations
import torch
from ablation import gathered, matched_sets
from encoding import Masks
from timing import Result, close, compare, show

from ccs_exp.clip.ablation import Ablation, Zero
from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.pruning.sets import nested

NAME, BATCH, DONORS = "ViT-B-32", 16, 16
OF_LIMIT = 0.9


def dose_response(model: ClipModel, orders: int) -> Masks:
    """Every size of each of some random orders of the scored heads; the empty set once."""
    draw, scored = random.Random(0), list(model.scored_heads)
    return list(dict.fromkeys(mask for _ in range(orders) for mask in nested(draw.sample(scored, len(scored)))))


def results(device: str = "cpu", small: bool = False, batch: int = BATCH) -> Iterator[Result]:
    model = load_clip(NAME, seed=0, device=device)
    generator = torch.Generator().manual_seed(1)
    few, pixels = (torch.randn(n, 3, *model.image_size, generator=generator).to(device) for n in (DONORS, 1 if small else batch))
    means, _, _ = gathered(model, few)
    single: Masks = [frozenset(), *(frozenset({head}) for head in model.scored_heads)]
    cases: list[tuple[str, Masks, Ablation]] = [
        ("200 matched sets of 10 heads", matched_sets(model, 2 if small else 200, 10), Zero()),
        ("dose-response, 48 steps x 10 orders", dose_response(model, 1 if small else 10), Zero()),
        ("every head alone by mean", single, means),
    ]
    for name, masks, ablation in cases:
        limit = len(masks) * operations.full_pass(model) / operations.shared(model, masks)
        shared, plain = SharedPrefixEngine(1, ablation), PlainEngine(ablation)
        passes = shared.layer_passes(model.layers, masks)
        yield compare(
            f"{NAME}, {name}, batch {len(pixels)}: {passes:,} layer passes of {model.layers * len(masks):,}",
            "engine=plain, a pass each",
            lambda shared=shared, masks=masks: shared.encode(model, pixels, masks)[::20],
            lambda plain=plain, masks=masks: plain.encode(model, pixels, masks[::20]),
            close(1e-5),
            repeats=1 if small else 3,
            times=len(masks) / len(masks[::20]),
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
