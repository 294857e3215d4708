"""The intruder test: which of five descriptions does not belong? (after Chang et al., NIPS 2009)

Four are a head's own and one is another head's. Who knows what the four have in common finds it; whoever guesses is right in a fifth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.phrases import text_key
from ccs_exp.scoring.taxonomy import Taxonomy
from ccs_exp.statistics.intervals import Interval, bootstrap_mean
from ccs_exp.statistics.roc import Area, area

INTRUDERS = 20  # for each description left out
_TIE = 1e-9


@dataclass(frozen=True)
class Item:
    """Five texts in the order shown, the intruder at `place` (from 0). `left_out`: which of the head's own is missing (from 0)."""

    head: Head
    left_out: int
    intruder_of: Head
    texts: tuple[str, ...]
    place: int


class Chooser(Protocol):
    """Names the text that does not belong, for each five texts, in their order.

    A set of places from 0: one, or several between which it cannot decide; None where it gave no answer. A language model is shown
    the texts, numbered from 1, as data, without head or label, and answers with JSON, ``{"choice": 1..5}``; a refusal or anything else
    is no answer. It must not be told that a fifth is chance.
    """

    name: str

    def choose(self, questions: Sequence[tuple[str, ...]]) -> list[frozenset[int] | None]: ...


def intruder_items(heads: Sequence[HeadScore], intruders: int = INTRUDERS, seed: int = 0) -> list[Item]:
    """Every head's items: each description left out in turn, with as many intruders each, the order by `seed`.

    Intruders are descriptions of heads of another concept, where both labels are known, and none of the head's own five. Each is used
    once for a description left out; where there are fewer than `intruders`, all are. A head without any has no item, and one's items
    do not depend on which other heads are asked about, only on which there are to draw from.
    """
    items = []
    for score in (score for score in heads if len(score.descriptions) > 1):
        rng = np.random.default_rng([seed, score.head.layer, score.head.index])
        own = {text_key(text) for text in score.descriptions}
        others: dict[str, tuple[str, Head]] = {}
        for other in heads:
            if other.head != score.head and not _same_concept(score.label, other.label):
                for text in other.descriptions:
                    if text_key(text) not in own:
                        others.setdefault(text_key(text), (text, other.head))
        candidates = list(others.values())
        for left_out in range(len(score.descriptions)):
            kept = [text for place, text in enumerate(score.descriptions) if place != left_out]
            for pick in rng.permutation(len(candidates))[:intruders]:
                text, whose = candidates[pick]
                order = rng.permutation(len(kept) + 1)
                shown = tuple([*kept, text][place] for place in order)
                items.append(Item(score.head, left_out, whose, shown, int(np.flatnonzero(order == len(kept))[0])))
    return items


def _same_concept(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and text_key(one) == text_key(other)


class EmbeddingChooser:
    """The text with the lowest mean cosine similarity to the others. `embed` gives one vector a text, of any length."""

    name = "embedding"

    def __init__(self, embed: Callable[[list[str]], Float[np.ndarray, "texts dim"]]) -> None:
        self._embed = embed

    def choose(self, questions: Sequence[tuple[str, ...]]) -> list[frozenset[int] | None]:
        """Every distinct text is embedded once."""
        texts = sorted({text for question in questions for text in question})
        if not texts:
            return []
        vectors = np.asarray(self._embed(texts), dtype=np.float64)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        row = {text: place for place, text in enumerate(texts)}
        chosen: list[frozenset[int] | None] = []
        for question in questions:
            similarities = vectors[[row[text] for text in question]]
            similarities = similarities @ similarities.T
            to_others = (similarities.sum(axis=1) - similarities.diagonal()) / (len(question) - 1)
            chosen.append(_lowest(to_others) if np.isfinite(to_others).all() else None)
        return chosen


class TaxonomyChooser:
    """The text that lacks a concept which most of the others share; all are tied where no two share one."""

    name = "taxonomy"

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy

    def choose(self, questions: Sequence[tuple[str, ...]]) -> list[frozenset[int] | None]:
        concepts = {text: self._taxonomy.concepts_of(text) for question in questions for text in question}
        return [_lowest(-np.array(_sharing([concepts[text] for text in question]))) for question in questions]


def _sharing(concepts: Sequence[frozenset[str]]) -> list[int]:
    """For each text: the most others (two or more) that share one concept which it does not carry."""
    found = []
    for own in concepts:
        others = [sum(concept in one for one in concepts) for concept in frozenset().union(*concepts) - own]
        found.append(max((count for count in others if count > 1), default=0))
    return found


def _lowest(values: Float[np.ndarray, " texts"]) -> frozenset[int]:
    return frozenset(np.flatnonzero(values <= values.min() + _TIE).tolist())


@dataclass(frozen=True)
class IntruderShare:
    """The share of a head's items in which the intruder was found (chance 0.2), a tie counting its share; None without an answer."""

    head: Head
    found: float | None
    answered: int
    unanswered: int

    def row(self, chooser: str) -> dict[str, Any]:
        answers = {"found": self.found, "answered": self.answered, "unanswered": self.unanswered}
        return {"head": str(self.head), "judge": chooser} | answers


def intruder_shares(items: Sequence[Item], choices: Sequence[frozenset[int] | None]) -> list[IntruderShare]:
    """Of every head that has items, in order."""
    scored: dict[Head, list[float | None]] = {}
    for item, choice in zip(items, choices, strict=True):
        credit = None if not choice else (item.place in choice) / len(choice)
        scored.setdefault(item.head, []).append(credit)
    shares = []
    for head, credits in sorted(scored.items()):
        known = [credit for credit in credits if credit is not None]
        shares.append(IntruderShare(head, float(np.mean(known)) if known else None, len(known), len(credits) - len(known)))
    return shares


def mean_share(shares: Sequence[IntruderShare], seed: int = 0) -> tuple[float, Interval | None] | None:
    """The mean over heads and its 95% bootstrap interval over heads; None where no head has an answer."""
    known = np.array([share.found for share in shares if share.found is not None])
    return (float(known.mean()), bootstrap_mean(known, seed)) if known.size else None


def high_against_low(shares: Sequence[IntruderShare], classes: Sequence[str | None]) -> Area | None:
    """The area under the ROC curve by which the shares tell heads of high CCS from those of low; None where one class is absent.

    Args:
        classes: the class of each head of `shares`; others than high and low are left out.
    """
    both = [(share.found, of) for share, of in zip(shares, classes, strict=True) if of in ("high", "low")]
    known = [(found, of == "high") for found, of in both if found is not None]
    return area(np.array([found for found, _ in known]), np.array([high for _, high in known])) if known else None


def told(judge: str, shares: Sequence[IntruderShare], classes: Sequence[str | None], seed: int = 0) -> dict[str, Any]:
    """What a summary says of a judge or person: the mean share, its area, over how many heads, how many items had no answer."""
    mean, apart = mean_share(shares, seed), high_against_low(shares, classes)
    return {
        "judge": judge,
        "found": mean and mean[0],
        "interval": mean and mean[1] and list(mean[1]),
        "area": apart and apart.value,
        "area_interval": apart and apart.interval and list(apart.interval),
        "heads": len(shares),
        "unanswered": sum(share.unanswered for share in shares),
    }
