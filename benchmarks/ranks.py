"""Ranks of 5,000 right answers among 5,000 candidates, against an argsort a row.

python benchmarks/ranks.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from timing import Result, compare, show

from ccs_exp.tasks.ranking import ranks

SIZE = 5_000


def results(device: str = "cpu", small: bool = False) -> Iterator[Result]:
    size = 300 if small else SIZE
    similarities = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    index = np.arange(size)

    def sorted_rows() -> np.ndarray:
        return np.array([1 + int(np.flatnonzero(np.argsort(-row) == query)[0]) for query, row in enumerate(similarities)])

    def agree(ours: np.ndarray, reference: np.ndarray) -> str:
        # argsort breaks ties in some order; the rank among equals is their mean, so it may differ by half their number
        ties = np.array([np.count_nonzero(row == row[query]) - 1 for query, row in enumerate(similarities)])
        if (np.abs(ours - reference) > ties / 2).any():
            raise SystemExit("the ranks differ")
        return f"ranks the same ({int((ties > 0).sum())} with ties)"

    yield compare(
        *(f"ranks, {size:,} x {size:,}", "NumPy argsort a row"),
        lambda: ranks(similarities, index, index),
        sorted_rows,
        agree,
        repeats=3,
        target=10.0,
    )


def main() -> None:
    sys.exit(not show(results(), "Ranks"))


if __name__ == "__main__":
    main()
