"""The atlas of a job: what heads add to the probe's images is kept, and pages to look at it are written into the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccs_exp.atlas.pages import Viewed, make_atlas, write_pages
from ccs_exp.clip.model import ClipModel
from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.journal.log import note, stage
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.store import key_digest

CONTRIBUTIONS = "contributions"  # the kind of entry
_PUBLISHED = "ccs_exp.data.published."


def check_atlas(asked: bool, loaded: Loaded) -> None:
    """Raise `CcsError` where an atlas was asked for on the command line and no model is loaded that could see anything."""
    if asked and loaded.model is None:
        raise CcsError("atlas=true shows what a model's heads see, and these descriptions need no model. Add model=... dataset=...")


@stage("atlas")
def write_atlas(loaded: Loaded, folder: RunFolder) -> dict[str, Any] | None:
    """Write the pages; what ``summary.json`` says of them. None where none are asked for, or nothing was loaded that sees."""
    cfg = loaded.cfg
    if not cfg.atlas or loaded.model is None or loaded.probe is None:
        return None
    passed = loaded.probe_pass()
    kept = passed.contributions()
    thumbnails, notices = shows_images(cfg.atlas_thumbnails, plain(cfg.probe.source))
    notices += of_weights(loaded.model)
    title = " · ".join(filter(None, (loaded.name, f"probe {cfg.probe.name}")))
    viewed = Viewed(folder.path, title, loaded.model, kept, loaded.probe, loaded.compute, thumbnails, tuple(notices))
    pages = write_pages(make_atlas(viewed), folder.path / "atlas")
    note(pages=len(pages), bytes=sum(page.stat().st_size for page in pages))
    return {"contributions": passed.key and key_digest(passed.key), "images": len(kept), "pages": len(pages)}


def of_weights(model: ClipModel) -> list[str]:
    """What pages say of random weights."""
    return [f"The model has {model.origin.description}: what its heads see means nothing."] if model.origin.random else []


def shows_images(asked: bool | None, source: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Whether pages show the probe's images, and what they say of it. By default not where these were published by others: pages get
    passed on, and a copy of an image is the image to its licence."""
    published = str(source.get("_target_", "")).startswith(_PUBLISHED)
    if asked is None and published:
        return False, [
            "These pages show where heads look, but not the images: they are of a published data set, whose licence may not let "
            "copies be passed on. atlas_thumbnails=true shows them, for your own eyes."
        ]
    return asked is not False, []
