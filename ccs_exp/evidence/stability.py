"""Stability: what of the heads' descriptions, labels and scores comes again with another half of the probe, or another probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.phrases import text_key
from ccs_exp.statistics.intervals import Interval, bootstrap_mean, wilson


@dataclass(frozen=True)
class HeadStability:
    """`descriptions`: share (0..1) of the first's that are among the second's. None: one of the two does not have it."""

    head: Head
    descriptions: float | None
    label: bool | None
    ccs: bool | None
    ccs_class: bool | None

    def row(self) -> dict[str, Any]:
        same = {"same_label": self.label, "same_ccs": self.ccs, "same_class": self.ccs_class}
        return {"head": str(self.head), "same_descriptions": self.descriptions} | same


@dataclass(frozen=True)
class Share:
    """A share (0..1) over `heads` with its 95% interval: Wilson's, or of descriptions a bootstrap over heads."""

    value: float | None
    interval: Interval | None
    heads: int


def head_stability(first: Scores, second: Scores) -> list[HeadStability]:
    """Head by head. Raises ValueError for scores of different heads."""
    if [item.head for item in first.heads] != [item.head for item in second.heads]:
        raise ValueError("scores of different heads cannot come again")
    return [_compared(one, other) for one, other in zip(first.heads, second.heads, strict=True)]


def _compared(one: HeadScore, other: HeadScore) -> HeadStability:
    texts, others = ({text_key(text) for text in item.descriptions} for item in (one, other))
    return HeadStability(
        one.head,
        len(texts & others) / len(texts) if texts and others else None,
        text_key(one.label) == text_key(other.label) if one.label is not None and other.label is not None else None,
        one.ccs == other.ccs if one.ccs is not None and other.ccs is not None else None,
        one.ccs_class == other.ccs_class if one.ccs_class is not None and other.ccs_class is not None else None,
    )


def stability(found: Sequence[HeadStability], seed: int = 0) -> dict[str, Share]:
    """The shares over heads of ``descriptions``, ``label``, ``ccs`` and ``ccs_class``, each over the heads that have it in both."""
    texts = np.array([item.descriptions for item in found if item.descriptions is not None])
    shares = {"descriptions": Share(float(texts.mean()) if texts.size else None, bootstrap_mean(texts, seed), texts.size)}
    for name in ("label", "ccs", "ccs_class"):
        same = [getattr(item, name) for item in found if getattr(item, name) is not None]
        shares[name] = Share(sum(same) / len(same) if same else None, wilson(sum(same), len(same)), len(same))
    return shares
