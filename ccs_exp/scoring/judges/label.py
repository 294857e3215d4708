"""Labelers: the one concept that the descriptions of a head share (paper, section 4.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ccs_exp.errors import CcsError
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.taxonomy import Taxonomy, load_taxonomy


class Labeler(Protocol):
    """Names the concept of each head, in their order; None where no label could be found."""

    @property
    def name(self) -> str: ...

    def label(self, heads: Sequence[HeadSpans]) -> list[str | None]: ...


class DrawingLabeler(Labeler, Protocol):
    """A labeler that need not say the same twice: draw 0 is the run's own label, every other draw asks again.

    The same draw gives the same labels (its number belongs in the key of a kept reply).
    """

    def label(self, heads: Sequence[HeadSpans], draw: int = 0) -> list[str | None]: ...


class TaxonomyLabeler:
    """The label of a head is the concept that most of its descriptions carry; see `commonest_concept` for ties."""

    name = "taxonomy"

    def __init__(self, directory: str | Path | None = None) -> None:
        """`directory`: a taxonomy of one's own; None is the packaged one. Raises `CcsError` if it cannot be read."""
        self.taxonomy = load_taxonomy(directory)

    def label(self, heads: Sequence[HeadSpans]) -> list[str | None]:
        """One concept's name a head, in the same order; None for a head whose descriptions carry no concept at all."""
        return [commonest_concept(head.descriptions, self.taxonomy) for head in heads]


class GivenLabeler:
    """The labels that came with the descriptions."""

    name = "given"

    def label(self, heads: Sequence[HeadSpans]) -> list[str | None]:
        """One label a head, in the same order; raises `CcsError` naming every head that came without one."""
        labels = [(head.label or "").strip() for head in heads]
        missing = [str(head.head) for head, label in zip(heads, labels, strict=True) if not label]
        if missing:
            raise CcsError(
                f"labeler=given takes the labels from the spans file, but it has none for {len(missing)} of {len(heads)} heads: "
                f"{', '.join(missing)}. Add them (`intel_label` in JSON, `label` in CSV) or choose labeler=taxonomy."
            )
        return list(labels)


def commonest_concept(descriptions: Sequence[str], taxonomy: Taxonomy) -> str | None:
    """The concept that most of `descriptions` carry, or None if they carry none.

    Ties: TEXTSPAN picks the description that explains most of a head first, so the concept of the earlier descriptions wins.
    Concepts of exactly the same descriptions (birds, animals): the narrower one, that fewer descriptions of the pool carry;
    then the first by name.
    """
    positions: dict[str, list[int]] = {}
    for position, description in enumerate(descriptions):
        for concept in taxonomy.concepts_of(description):
            positions.setdefault(concept, []).append(position)

    def rank(concept: str) -> tuple[int, list[int], int, str]:
        return -len(positions[concept]), positions[concept], taxonomy.size(concept), concept

    return min(positions, key=rank, default=None)
