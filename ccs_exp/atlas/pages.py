"""The pages: ``atlas/index.html`` with all heads, and one for each, every one a file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.looks import AT_EACH_END, Look, Shown, Strip, look
from ccs_exp.atlas.pictures import overlay, strongest_patch
from ccs_exp.atlas.shown import Seen, see_again
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.files import some, write_whole
from ccs_exp.journal.log import note
from ccs_exp.run_folder.web_page import policy, templates
from ccs_exp.scoring.contributions import Contributions

_HERE = Path(__file__).parent
_VERDICTS = {"aligned": "✓ aligned", "not_aligned": "✕ not aligned", "unjudged": "? unjudged"}
_ON_A_CARD = 3


@dataclass(frozen=True)
class Viewed:
    """A run to be looked at. `probe`: its images as they are now; None where they are gone. `notices`: what a reader must be told."""

    path: Path
    title: str
    model: ClipModel
    kept: Contributions
    probe: ImageData | None
    compute: Compute
    thumbnails: bool
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Atlas:
    """All that pages of one run show. `notices`: what must be said before anything else."""

    title: str
    looks: tuple[Look, ...]
    kept: Contributions
    seen: Seen
    notices: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        gone, notices = self.seen.gone, [*self.notices, *filter(None, [self.seen.without_maps])]
        if not gone:
            return notices
        lost = f"{len(gone):,} of the images shown here are not where they were, or have changed, so they cannot be seen: {some(gone)}."
        return [*notices, lost]


def make_atlas(viewed: Viewed, at_each_end: int = AT_EACH_END) -> Atlas:
    """The atlas of a run folder in which ``heads.csv`` stands: images chosen, and seen once more."""
    model, kept, compute, facts = viewed.model, viewed.kept, viewed.compute, read_facts(viewed.path)
    names = list(dict.fromkeys(text for head in facts for text in head.texts))
    with compute.placed(model):
        texts = dict(zip(names, model.encode_texts(names, progress=compute.progress).double().cpu(), strict=True))
    looks = tuple(look(head, kept, texts, at_each_end) for head in facts)
    seen = see_again(model, looks, kept, viewed.probe, compute, viewed.thumbnails)
    note(images=len({image for item in looks for image, _ in item.shown()}))
    return Atlas(viewed.title, looks, kept, seen, viewed.notices)


def write_pages(atlas: Atlas, folder: Path) -> list[Path]:
    """Write all pages into `folder`; the index comes last, and first in what is returned."""
    names = [str(item.facts.head) for item in atlas.looks]
    written = []
    for number, item in enumerate(atlas.looks):
        near = names[number - 1] if number else None, names[number + 1] if number + 1 < len(names) else None
        written.append(folder / f"{names[number]}.html")
        write_whole(written[-1], _head_page(atlas, item, *near).encode())
    write_whole(folder / "index.html", _index_page(atlas).encode())
    return [folder / "index.html", *written]


def pictures(atlas: Atlas, head: int, strip: int, items: Sequence[Shown], title: str) -> list[dict[str, Any]]:
    """What a template shows of images: crop, heat map, words."""
    heats = [atlas.seen.heat.get((item.image, head, strip)) for item in items]
    strongest = max((abs(heat).max() for heat in heats if heat is not None), default=0.0)
    found = []
    for item, heat in zip(items, heats, strict=True):
        name, sd = atlas.kept.sample_ids[item.image], f"{'−' if item.sd < 0 else '+'}{abs(item.sd):.1f} sd"
        where = "" if heat is None else f"; the head looks most at {strongest_patch(heat)}"
        found.append(
            {"crop": atlas.seen.thumbnails.get(item.image), "heat": None if heat is None else overlay(heat, strongest)}
            | {"name": name, "sd": sd, "alt": f"{name}: {sd} along {title}{where}"}
        )
    return found


@lru_cache(maxsize=1)
def environment() -> Environment:
    return templates(_HERE)


def page_parts(notices: Sequence[str] = (), small: bool = False) -> dict[str, Any]:
    """What every page has: style, script, and a policy that lets a browser use these, and pictures in the page, alone."""
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("pages.css", "pages.js"))
    return {"css": Markup(css), "js": Markup(js), "policy": policy(css, js, {"img-src": "data:"}), "notices": notices, "small": small}


def _head_page(atlas: Atlas, item: Look, before: str | None, after: str | None) -> str:
    def of_strip(place: int, strip: Strip) -> dict[str, Any]:
        head = atlas.kept.heads.index(item.facts.head)
        both = {end: pictures(atlas, head, place, getattr(strip, end), strip.title) for end in ("most", "least")}
        return {name: getattr(strip, name) for name in ("of", "number", "title", "verdict", "share")} | both

    return environment().get_template("head.html.jinja").render(
        page=page_parts(atlas.told, atlas.seen.small),
        title=atlas.title,
        look=item,
        strips=[of_strip(place, strip) for place, strip in enumerate(item.strips)],
        before=before,
        after=after,
        images=f"{len(atlas.kept):,}",
        verdicts=_VERDICTS,
    )


def _index_page(atlas: Atlas) -> str:
    layers = sorted({item.facts.head.layer for item in atlas.looks})
    facts = [item.facts for item in atlas.looks]

    def card(item: Look) -> dict[str, Any]:
        first = item.strips[0].most[:_ON_A_CARD] if item.strips else ()
        crops = [atlas.seen.thumbnails[shown.image] for shown in first if shown.image in atlas.seen.thumbnails]
        return {"facts": item.facts, "crops": crops, "text": " ".join((str(item.facts.head), *item.facts.texts)).lower()}

    return environment().get_template("index.html.jinja").render(
        page=page_parts(atlas.told, atlas.seen.small),
        title=atlas.title,
        by_layer=[(layer, [card(item) for item in atlas.looks if item.facts.head.layer == layer]) for layer in layers],
        layers=layers,
        scores=sorted({head.ccs for head in facts if head.ccs is not None}),
        labels=sorted({head.label for head in facts if head.label}),
        costs=any(head.cost is not None for head in facts),
    )
