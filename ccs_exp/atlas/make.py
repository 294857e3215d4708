"""From a run and what was kept of it to an atlas: images chosen, and seen once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.looks import AT_EACH_END, distinct_texts, look
from ccs_exp.atlas.pages import Atlas
from ccs_exp.atlas.shown import see_again
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.journal.log import note
from ccs_exp.scoring.contributions import Contributions


def make_atlas(
    run: Path,
    title: str,
    model: ClipModel,
    kept: Contributions,
    probe: ImageData | None,
    compute: Compute,
    *,
    thumbnails: bool,
    notices: Sequence[str] = (),
    at_each_end: int = AT_EACH_END,
) -> Atlas:
    """The atlas of a run folder in which ``heads.csv`` stands. `probe`: the images as they are now; None where they are gone."""
    facts = read_facts(run)
    names = distinct_texts(facts)
    with compute.placed(model):
        texts = dict(zip(names, model.encode_texts(names, progress=compute.progress).double().cpu(), strict=True))
    looks = tuple(look(head, kept, texts, at_each_end) for head in facts)
    seen = see_again(model, looks, kept, probe, compute, thumbnails)
    note(images=len({image for item in looks for image, _ in item.shown()}))
    return Atlas(title, looks, kept, seen, tuple(notices))
