"""TEXTSPAN as the paper writes it, on full matrices in float64, for one head at a time."""

from __future__ import annotations

import numpy as np


def plain_textspan(contributions: np.ndarray, texts: np.ndarray, descriptions: int = 5, zero: float = 1e-6) -> tuple[list[int], float]:
    """`contributions` ``[images, dim]``, `texts` ``[pool, dim]``: the picks in order and the share of variance they explain.

    Singular values of `zero` times the largest, and less, count as none.
    """
    data, texts = contributions.astype(np.float64), texts.astype(np.float64)
    _, singular, rows = np.linalg.svd(data, full_matrices=False)
    span = rows[singular > zero * singular[0]]
    texts = texts @ span.T @ span
    data = data - data.mean(axis=0)
    total = (data**2).sum()
    picks = []
    for _ in range(descriptions):
        spread = (data @ texts.T).std(axis=0)
        spread[picks] = -np.inf
        picks.append(int(spread.argmax()))
        direction = texts[picks[-1]] / np.linalg.norm(texts[picks[-1]])
        data = data - np.outer(data @ direction, direction)
        texts = texts - np.outer(texts @ direction, direction)
    return picks, 1 - (data**2).sum() / total
