"""The engine of a job, with what the kind of silencing puts in the place of outputs: gathered from the probe, and kept.

An entry point of the keys of evaluations (`ccs_exp.jobs.keys`): what it imports is what they rest on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omegaconf import DictConfig

from ccs_exp.clip.ablation import Ablation, Means
from ccs_exp.clip.direct import DirectEngine
from ccs_exp.clip.engine import Engine, PlainEngine
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.heads import Condition
from ccs_exp.jobs.encode import image_data
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.scoring.donors import donors


def build_engine(cfg: DictConfig, model: ClipModel, conditions: Sequence[Condition], passed: ProbePass | None) -> Engine:
    """The engine that silences heads as ``ablation`` says; a pass over the probe where that takes one and it is not in the store.

    `passed` is None where ``ablation=zero``.
    """
    ablation = Ablation()
    silenced = [head for condition in conditions for head in condition.heads]
    if passed is not None and silenced:
        if cfg.ablation == "resample":
            scored = model.scored_heads[0].layer
            first = 0 if min(silenced).layer < scored else scored  # one of two, so that jobs share what is kept
            images = image_data(cfg, cfg.probe, passed.probe.source, model, cfg.resample.donors)
            found = donors(replace(passed, probe=images), range(first, model.layers))
            ablation = replace(found, seeds=tuple(cfg.resample.seeds))
        else:
            sums = passed.output_sums()
            if cfg.ablation == "direct":
                return DirectEngine(sums.mean(sums.coefficients))
            ablation = Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})
    return PlainEngine(ablation) if cfg.engine == "plain" else SharedPrefixEngine(cfg.stack_size, ablation)
