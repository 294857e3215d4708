"""What of the heads' descriptions, labels and scores comes again: with one half of the probe and the other, and with another probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ccs_exp.compute.trainer import Compute
from ccs_exp.config.plain import plain
from ccs_exp.data.images.part import Part
from ccs_exp.data.images.source import ImageSource
from ccs_exp.evidence.from_evaluation import Table
from ccs_exp.evidence.stability import HeadStability, Share, head_stability, stability
from ccs_exp.jobs import keys
from ccs_exp.jobs.assemble import build, build_pool
from ccs_exp.jobs.encode import image_data
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.jobs.score_stage import score_heads
from ccs_exp.journal.log import stage
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.describe import Keeping, describe_heads
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.statistics.resampling import chosen_half
from ccs_exp.store import Stages

HALF = "other half"
COLUMNS = ("probe", "head", "same_descriptions", "same_label", "same_ccs", "same_class")


@dataclass(frozen=True)
class Repeated:
    """The rows of ``stability.csv``, what the summary says, and of the halves what came again of each head."""

    table: Table
    summary: list[dict[str, Any]]
    halves: Sequence[HeadStability]


@stage("stability")
def find_stability(cfg: DictConfig, loaded: Loaded, scores: Scores, scorers: Scorers, compute: Compute, stages: Stages) -> Repeated:
    """Heads described and scored anew: from each half of the probe, which together are one more pass, and from another probe.

    Raises `CcsError` where images of the other probe cannot be opened.
    """
    asked, probe = cfg.evidence, loaded.probed.source
    found: dict[str, list[HeadStability]] = {}
    if asked.stability:
        first = chosen_half(range(len(probe)), asked.seed)
        halves = []
        for number, places in enumerate((np.flatnonzero(first), np.flatnonzero(~first))):
            part = {"half": number, "seed": asked.seed}
            halves.append(_scored(cfg, loaded, Part(probe, places.tolist()), part, scorers, compute, stages))
        found[HALF] = head_stability(*halves)
    if asked.other_probe:
        other = _other_probe(cfg)
        scored = _scored(other, loaded, build(other.probe.source), {}, scorers, compute, stages)
        found[_name(cfg)] = head_stability(scores, scored)
    rows = [{"probe": name} | item.row() for name, items in found.items() for item in items]
    summary = [
        {"probe": name} | {what: _told(share) for what, share in stability(items, asked.seed).items()} for name, items in found.items()
    ]
    return Repeated(Table(COLUMNS, rows), summary, found.get(HALF, ()))


def _scored(
    cfg: DictConfig, loaded: Loaded, source: ImageSource, part: Mapping[str, Any], scorers: Scorers, compute: Compute, stages: Stages
) -> Scores:
    data, pool, keeping = image_data(cfg, cfg.probe, source, loaded.encoder), build_pool(cfg.pool), Keeping()
    if loaded.weights:
        moments = keys.moments_key(cfg, loaded.weights, compute.device_type) | ({"part": part} if part else {})
        keeping = Keeping(moments, keys.descriptions_key(moments, cfg.textspan, pool.sha256), stages=stages)
    return score_heads(cfg, describe_heads(loaded.encoder, data, pool, compute, cfg.textspan, keeping), scorers, stages)


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
