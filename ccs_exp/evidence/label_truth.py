"""Whether labels are true, by the task that silencing a head hurts most or the factor that it represents; how easily a CCS is had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from ccs_exp.evidence.concept_tests import ConceptTests, Task
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.taxonomy import Taxonomy

_PERMUTATIONS = 9999


@dataclass(frozen=True)
class TruthShare:
    """How many of the `tested` labels of some heads are `right`.

    `permuted`: the share (0..1) right where labels are dealt out to the tested heads at random (exact; None where none is tested);
    `p`: how often that gives as many or more right, (1 + k) / (N + 1), one-sided.
    """

    right: int
    tested: int
    untested: int
    permuted: float | None
    p: float | None


@dataclass(frozen=True)
class LabelTruth:
    """`right` of every head: None where no task tests its label. `fits[i, j]`: head i's label is right of what head j does."""

    right: tuple[bool | None, ...]
    fits: Bool[np.ndarray, "heads heads"]

    def share(
        self, of: Bool[np.ndarray, " heads"] | None = None, *, permutations: int = _PERMUTATIONS, seed: int = 0
    ) -> TruthShare:
        """Over the heads marked in `of` (None: all), such as the high ones; labels are permuted among all tested heads."""
        among = np.ones(len(self.right), dtype=bool) if of is None else np.asarray(of, dtype=bool)
        tested = np.array([right is not None for right in self.right], dtype=bool)
        asked = np.flatnonzero(among & tested)
        untested = int((among & ~tested).sum())
        if not asked.size:
            return TruthShare(0, 0, untested, None, None)
        right = sum(bool(self.right[head]) for head in asked)
        everyone = np.flatnonzero(tested)
        dealt = np.random.default_rng(seed).permuted(np.tile(everyone, (permutations, 1)), axis=1)
        by_chance = self.fits[dealt[:, np.isin(everyone, asked)], asked].sum(axis=1)
        p = (1 + int((by_chance >= right).sum())) / (permutations + 1)
        return TruthShare(right, asked.size, untested, float(self.fits[np.ix_(everyone, asked)].mean()), p)


def label_truth(
    labels: Sequence[str | None], found: Sequence[Task | None], tasks: Sequence[Task], tests: ConceptTests
) -> LabelTruth:
    """Whether what was found of each head is what its label says.

    Args:
        labels: of the heads, in their order.
        found: each head's most affected task, or the factor that it represents; None where it has none, which no label says.
        tasks: all that were measured. A label that none of them tests is untested.
    """
    fits = np.array([[task is not None and tests.tests(label, task) for task in found] for label in labels], dtype=bool)
    fits = fits.reshape(len(labels), len(found))
    right = tuple(bool(fits[head, head]) if tests.tested(label, tasks) else None for head, label in enumerate(labels))
    return LabelTruth(right, fits)


def concepts_as_good(score: HeadScore, taxonomy: Taxonomy) -> tuple[str, ...] | None:
    """The other concepts of the taxonomy that would have got a CCS as high or higher, by the taxonomy's own verdicts.

    A concept above the label's own counts as another: "animals" for a head of birds. None for a head without a CCS or descriptions.
    """
    if score.ccs is None or score.label is None or not score.descriptions:
        return None
    own = taxonomy.concepts_of_label(score.label)
    carried = [taxonomy.concepts_of(text) for text in score.descriptions]
    return tuple(
        concept for concept in taxonomy.concepts if concept not in own and sum(concept in one for one in carried) >= score.ccs
    )


def easily_had(scores: Sequence[HeadScore], taxonomy: Taxonomy) -> list[int | None]:
    """The number of such concepts for each head."""
    found = [concepts_as_good(score, taxonomy) for score in scores]
    return [None if concepts is None else len(concepts) for concepts in found]
