"""How easily a score is had: how many other concepts fit a head's descriptions as often as its own label does."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.taxonomy import Taxonomy


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
