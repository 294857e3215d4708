"""TEXTSPAN from moments against the plain algorithm: one head, 5,000 images x 512 dimensions, 3,500 descriptions.

    python benchmarks/textspan.py

Both sides start from what they keep of the images: moments here, all contributions there. Prints whether the picks agree, both
times (medians of five), their ratio, and the time to accumulate the moments.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from ccs_exp.heads import Head
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import textspan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from plain_textspan import plain_textspan

IMAGES, HEAD_DIM, DIM, POOL, REPEATS = 5_000, 64, 512, 3_500, 5


def median_seconds(function) -> tuple[float, object]:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


def main() -> None:
    rng = np.random.default_rng(0)
    u = rng.normal(size=(IMAGES, HEAD_DIM)) * rng.uniform(0.05, 2, HEAD_DIM) + rng.normal(size=HEAD_DIM)
    matrix = rng.normal(size=(HEAD_DIM, DIM))
    texts = rng.normal(size=(POOL, DIM))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    contributions = u @ matrix

    coefficients = torch.from_numpy(u)[:, None]
    accumulating, moments = median_seconds(lambda: HeadMoments.of((Head(0, 0),), coefficients))
    maps, pool = torch.from_numpy(matrix)[None], torch.from_numpy(texts)
    ours, spans = median_seconds(lambda: textspan(moments, maps, pool))
    plain, (picks, explained) = median_seconds(lambda: plain_textspan(contributions, texts))

    print(f"picks           {'the same' if spans.picks[0].tolist() == picks else 'DIFFERENT'}: {picks}")
    print(f"explained       {spans.explained_variance[0]:.12f} against {explained:.12f}")
    print(f"from moments    {ours * 1e3:9.1f} ms   (accumulating them {accumulating * 1e3:.1f} ms)")
    print(f"plain           {plain * 1e3:9.1f} ms   {plain / ours:.1f}x")


if __name__ == "__main__":
    main()
