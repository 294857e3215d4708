"""Which images show what a head does: those whose contributions point most and least along a text, or along the head's own directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ccs_exp.atlas.facts import HeadFacts
from ccs_exp.scoring.contributions import Contributions

AT_EACH_END = 6
_DIRECTIONS = 2  # principal ones that are shown


class Shown(NamedTuple):
    """An image by its place among the contributions, and how far from the head's mean it lies, in standard deviations."""

    image: int
    sd: float


@dataclass(frozen=True)
class Strip:
    """The images at both ends of a direction.

    `of`: ``label``, ``description`` or ``direction``; `number` counts descriptions and directions from 1; `verdict` is a description's;
    `share` of the head's variance, a direction's.
    """

    of: str
    number: int
    title: str
    direction: Float[Tensor, " dim"]
    most: tuple[Shown, ...]
    least: tuple[Shown, ...]
    verdict: str | None = None
    share: float | None = None


@dataclass(frozen=True)
class Look:
    """All strips of a head; none where the run has no contributions of it."""

    facts: HeadFacts
    strips: tuple[Strip, ...] = ()

    def shown(self) -> Iterator[tuple[int, int]]:
        """Each image with the place of a strip that it stands in."""
        return ((item.image, place) for place, strip in enumerate(self.strips) for item in (*strip.most, *strip.least))


def look(
    facts: HeadFacts, kept: Contributions, texts: Mapping[str, Float[Tensor, " dim"]], at_each_end: int = AT_EACH_END
) -> Look:
    """The strips of a head's label, descriptions and first principal directions. `texts`: embeddings, L2-normalised."""
    if facts.head not in kept.heads:
        return Look(facts)
    place = kept.heads.index(facts.head)
    strips = []
    named: list[tuple[str, int, str, str | None]] = [("label", 1, facts.label, None)] if facts.label else []
    named += [("description", number, text, verdict) for number, (text, verdict) in enumerate(facts.described, 1)]
    for of, number, title, verdict in named:
        values = kept.along(place, texts[title])
        strips.append(Strip(of, number, title, texts[title], *ends(values, at_each_end), verdict))
    shares = kept.shares(place)
    for number, share in enumerate(shares[:_DIRECTIONS], 1):
        direction = kept.basis[place][:, number - 1]
        title = f"its own direction {number}"
        both = ends(kept.along(place, direction), at_each_end)
        strips.append(Strip("direction", number, title, direction, *both, share=float(share)))
    return Look(facts, tuple(strips))


def ends(values: Float[np.ndarray, " images"], count: int) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """The images of the highest values, the highest first, and of the lowest, the lowest first; none stands at both ends."""
    spread = values.std() or 1.0
    order = np.argsort(-values, kind="stable")
    count = min(count, len(values) // 2)
    places = order[:count], order[::-1][:count]
    most, least = (tuple(Shown(int(image), float((values[image] - values.mean()) / spread)) for image in of) for of in places)
    return most, least
