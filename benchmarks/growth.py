"""How time grows with the number of conditions, images and descriptions: a line fitted to each.

python benchmarks/growth.py [--device cpu]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from encoding import paper_masks
from rich.console import Console
from rich.table import Table
from timing import seconds

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.clip.text import encode_texts
from ccs_exp.heads import scored_heads
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.pool import taxonomy_pool
from ccs_exp.scoring.textspan import textspan


def measured(sizes: Sequence[int], job: Callable[[int], object], repeats: int = 3) -> list[float]:
    return [statistics.median(seconds(partial(job, size)) for _ in range(repeats)) for size in sizes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    device = parser.parse_args().device
    model = load_clip("ViT-B-32", seed=0, device=device)
    batch = torch.randn(16, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)
    texts = taxonomy_pool("taxonomy", None).descriptions
    heads, rows = scored_heads(12, 12), torch.randn(64, 48, 64, generator=torch.Generator().manual_seed(1))
    moments = HeadMoments.of(heads, rows)
    maps = torch.randn(48, 64, 512, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pool = torch.nn.functional.normalize(torch.randn(8_000, 512, generator=torch.Generator().manual_seed(3)), dim=-1)
    shared, plain = SharedPrefixEngine(), PlainEngine()
    encode = partial(encode_texts, model.clip, model.tokenizer, device=model.device)
    cases = [
        ("conditions, 16 images, engine=shared", (1, 2, 4, 8, 16, 32, 64), lambda n: shared.encode(model, batch, paper_masks(model, n))),
        ("conditions, 16 images, engine=plain", (1, 2, 4, 8), lambda n: plain.encode(model, batch, paper_masks(model, n))),
        ("images, one batch, no mask", (1, 4, 16, 64, 128), lambda n: model.encode_images(batch.repeat(n // 16 + 1, 1, 1, 1)[:n])),
        ("descriptions encoded", (250, 500, 1_000, 2_000, 4_000), lambda n: encode(texts[:n])),
        ("descriptions in TEXTSPAN, 48 heads", (500, 1_000, 2_000, 4_000, 8_000), lambda n: textspan(moments, maps, pool[:n])),
    ]  # fmt: skip
    table = Table(title="Growth", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("of", "at", "seconds", "each more costs", "fixed", "R²"):
        table.add_column(name, overflow="fold")
    with torch.inference_mode():
        for name, sizes, job in cases:
            job(sizes[0])
            times = measured(sizes, job)
            slope, fixed = np.polyfit(sizes, times, 1)
            fit = np.corrcoef(sizes, times)[0, 1] ** 2
            points = ", ".join(f"{second:.3g}" for second in times)
            table.add_row(
                name, ", ".join(map(str, sizes)), points, f"{slope * 1e3:.3g} ms", f"{fixed * 1e3:.3g} ms", f"{fit:.3f}"
            )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
