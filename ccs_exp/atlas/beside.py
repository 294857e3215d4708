"""Two runs side by side: the same heads under two judges, or heads of the same label in two models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ccs_exp.atlas.looks import Look
from ccs_exp.atlas.pages import Atlas, environment, page_parts, pictures
from ccs_exp.files import write_whole

Pair = tuple[Look | None, Look | None]


def write_beside(one: Atlas, other: Atlas, same_model: bool, path: Path) -> None:
    """Write the page. `same_model`: heads of one name are the same head."""
    found = list(same_heads(one.looks, other.looks) if same_model else same_labels(one.looks, other.looks))
    page = page_parts([*one.told, *other.told], one.seen.small or other.seen.small)
    rows = [[_side(one, left), _side(other, right)] for left, right in found]
    template = environment().get_template("beside.html.jinja")
    write_whole(path, template.render(page=page, titles=(one.title, other.title), same_model=same_model, rows=rows).encode())


def same_heads(one: Sequence[Look], other: Sequence[Look]) -> Iterator[Pair]:
    """Heads by their names; what one run alone has stands alone."""
    sides = [{item.facts.head: item for item in looks} for looks in (one, other)]
    return ((sides[0].get(head), sides[1].get(head)) for head in sorted(sides[0] | sides[1]))


def same_labels(one: Sequence[Look], other: Sequence[Look]) -> Iterator[Pair]:
    """Heads of one label, those of the highest CCS first, until one side has no more; labels in order, heads without one left out."""
    for label in sorted({item.facts.label for item in (*one, *other) if item.facts.label}):
        sides = [[item for item in looks if item.facts.label == label] for looks in (one, other)]
        for side in sides:
            side.sort(key=lambda item: -1 if item.facts.ccs is None else item.facts.ccs, reverse=True)
        yield from zip_longest(*sides)


def _side(atlas: Atlas, item: Look | None) -> dict[str, Any] | None:
    if item is None:
        return None
    if not item.strips:
        return {"facts": item.facts, "most": [], "least": [], "along": None}
    head, strip = atlas.kept.heads.index(item.facts.head), item.strips[0]
    both = {end: pictures(atlas, head, 0, getattr(strip, end), strip.title) for end in ("most", "least")}
    return {"facts": item.facts, "along": strip.title, **both}
