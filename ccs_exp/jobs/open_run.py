"""A finished run opened again, to look at what its heads see: its model and images as they are now, and what was kept of them then.

A run folder may come from others: of what its configuration builds only what the package's own probes and data sets name is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.atlas.pages import Viewed
from ccs_exp.clip.model import ClipModel
from ccs_exp.config.plain import plain
from ccs_exp.config.schema import Config, config_dir
from ccs_exp.config.settings import check_built
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import ImageSource
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.atlas_stage import CONTRIBUTIONS, of_weights, shows_images
from ccs_exp.jobs.encode import build_compute, build_model, image_data
from ccs_exp.jobs.keys import targets
from ccs_exp.jobs.weights import random_weights
from ccs_exp.run_folder.search import check_files
from ccs_exp.run_folder.summary import read_summary
from ccs_exp.scoring.contributions import Contributions, unpack_contributions
from ccs_exp.store import cache_dir, mapped_entry, unpacked

_TARGET = re.compile(r"^\s*_target_: (\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class OpenRun(Viewed):
    """Where `probe` is None, `notices` say why."""

    cfg: DictConfig
    weights: str


def open_run(path: Path, thumbnails: bool | None = None) -> OpenRun:
    """Raises `CcsError` for a folder without a finished run, a run without contributions, and a model that is another one now."""
    if not path.is_dir():
        raise CcsError(f"{path} is no folder. Name the folder of a finished run.")
    check_files(path)
    summary = read_summary(path)
    about, asked = summary["atlas"], summary["asked"]
    if not about or not about["contributions"] or not asked:
        raise CcsError(
            f"{path}: what the heads add to images was not kept. Run its job again with atlas=true: it goes over the probe once, and "
            "what else it has found is taken from the store."
        )
    cfg = _configuration(path, asked["config"])
    kept, weights = _contributions(path, about["contributions"])
    model = build_model(cfg)
    now = model.origin.sha256 or random_weights(cfg)
    if now != weights or not set(kept.heads) <= set(model.scored_heads):
        raise CcsError(
            f"{path} was made with other weights ({weights[:12]}...) than {model.name} has now ({now[:12]}...), and heads of one model "
            "are not those of another. Put the checkpoint back, or run the job again."
        )
    probe, lost = _probe(cfg, model)
    shows, notices = shows_images(cfg.atlas_thumbnails if thumbnails is None else thumbnails, plain(cfg.probe.source))
    notices += [*lost, *of_weights(model)]
    title = f"{summary['model']} · probe {cfg.probe.name}"
    return OpenRun(path, title, model, kept, probe, build_compute(cfg), shows, tuple(notices), cfg=cfg, weights=weights)


def known_source(node: DictConfig) -> ImageSource:
    """What opens a probe or data set, where the package's own choices name it. Raises `CcsError` for anything else."""
    for target in targets(plain(node.source)):
        if target not in _own_targets():
            raise CcsError(
                f"{node.name} is opened by {target}, which is no part of this package, and a run folder does not decide what code is run. "
                "The pages that its job wrote are all there is."
            )
    check_built(plain(node.source), f"{node.name}.source")
    source = build(node.source)
    if not isinstance(source, ImageSource):
        raise CcsError(f"{node.name} has no images that could be looked at one by one.")
    return source


def _configuration(path: Path, asked: Mapping[str, Any]) -> DictConfig:
    parts = {name: asked[name] for name in ("model", "probe", "dataset", "seed", "precision", "batch_size", "num_workers") if name in asked}
    more = {"atlas_thumbnails": asked.get("atlas_thumbnails"), "on_error": "skip"}
    try:
        cfg = OmegaConf.merge(OmegaConf.structured(Config), parts, more)
        assert isinstance(cfg, DictConfig)
    except (OmegaConfBaseException, AttributeError, ValueError) as error:
        raise CcsError(f"{path}/summary.json holds a configuration that no job has: {' '.join(str(error).split())}.") from error
    return cfg


def _contributions(path: Path, digest: str) -> tuple[Contributions, str]:
    """What was kept, its numbers left in the file, and what identifies the weights that it is of."""
    entry = mapped_entry(CONTRIBUTIONS, digest) if re.fullmatch(r"[0-9a-f]{32}", digest) else None
    kept = entry and unpacked(entry, lambda entry: unpack_contributions(entry.members))
    if not entry or not kept:
        raise CcsError(
            f"{path}: what its heads add to images is not in the store {cache_dir()} any more. Run its job again with atlas=true, or set "
            "CCS_EXP_CACHE to the store that it used."
        )
    return kept, str(entry.key["model"]["weights"])


def _probe(cfg: DictConfig, model: ClipModel) -> tuple[ImageData | None, list[str]]:
    try:
        return image_data(cfg, cfg.probe, known_source(cfg.probe), model), []
    except CcsError as error:
        return None, [f"The probe's images cannot be seen: {error}"]


@cache
def _own_targets() -> frozenset[str]:
    files = [path for group in ("probe", "dataset") for path in Path(config_dir(), group).glob("*.yaml")]
    return frozenset(name for path in files for name in _TARGET.findall(path.read_text(encoding="utf-8")))
