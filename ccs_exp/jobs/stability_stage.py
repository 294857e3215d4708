"""What of the heads' descriptions, labels and scores comes again: with one half of the probe and the other, and with another probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ccs_exp.config.plain import plain
from ccs_exp.data.images.part import Part
from ccs_exp.data.images.source import ImageSource
from ccs_exp.evidence.from_evaluation import Table
from ccs_exp.evidence.hashing import chosen_half
from ccs_exp.evidence.stability import HeadStability, Share, head_stability, stability
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import image_data
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.jobs.score_stage import described_and_scored
from ccs_exp.journal.log import stage
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.scorers import Scorers

HALF = "other half"
COLUMNS = ("probe", "head", "same_descriptions", "same_label", "same_ccs", "same_class")


@dataclass(frozen=True)
class Repeated:
    """The rows of ``stability.csv``, what the summary says, and of the halves what came again of each head."""

    table: Table
    summary: list[dict[str, Any]]
    halves: Sequence[HeadStability]


@stage("stability")
def find_stability(loaded: Loaded, scores: Scores, scorers: Scorers) -> Repeated:
    """Heads described and scored anew: from each half of the probe, which together are one more pass, and from another probe.

    Raises `CcsError` where images of the other probe cannot be opened.
    """
    cfg, asked, probe = loaded.cfg, loaded.cfg.evidence, loaded.probed.source
    found: dict[str, list[HeadStability]] = {}
    if asked.stability:
        first = chosen_half(range(len(probe)), asked.seed)
        halves = []
        for number, places in enumerate((np.flatnonzero(first), np.flatnonzero(~first))):
            part = {"half": number, "seed": asked.seed}
            halves.append(_scored(loaded, Part(probe, places.tolist()), part, scorers))
        found[HALF] = head_stability(*halves)
    if asked.other_probe:
        other = _other_probe(cfg)
        scored = _scored(replace(loaded, cfg=other), build(other.probe.source), {}, scorers)
        found[_name(cfg)] = head_stability(scores, scored)
    rows = [{"probe": name} | item.row() for name, items in found.items() for item in items]
    summary = [
        {"probe": name} | {what: _told(share) for what, share in stability(items, asked.seed).items()} for name, items in found.items()
    ]
    return Repeated(Table(COLUMNS, rows), summary, found.get(HALF, ()))


def _scored(loaded: Loaded, source: ImageSource, part: Mapping[str, Any], scorers: Scorers) -> Scores:
    passed = replace(loaded, probe=image_data(loaded.cfg, loaded.cfg.probe, source, loaded.encoder)).probe_pass()
    if passed.key is not None and part:
        passed = replace(passed, key={**passed.key, "part": part})
    return described_and_scored(loaded.cfg, passed, scorers).scores


def _other_probe(cfg: DictConfig) -> DictConfig:
    """The configuration with the other probe in the place of the job's."""
    changed, given = cfg.copy(), plain(cfg.evidence.other_probe)
    OmegaConf.set_struct(changed, False)
    changed.probe.source = given if "_target_" in given else plain(cfg.probe.source) | given
    return changed


def _name(cfg: DictConfig) -> str:
    """What was changed of the probe, as it was written."""
    return f"{cfg.probe.name}, " + ", ".join(f"{key.strip('_')}={value}" for key, value in plain(cfg.evidence.other_probe).items())


def _told(share: Share) -> dict[str, Any]:
    return {"value": share.value, "interval": share.interval and list(share.interval), "heads": share.heads}
