"""The engine of a job, with what the kind of silencing puts in the place of outputs: gathered from the probe, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omegaconf import DictConfig

from ccs_exp.clip.ablation import Ablation, Means, Zero
from ccs_exp.clip.direct import DirectEngine
from ccs_exp.clip.engine import Engine, PlainEngine
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.heads import Condition
from ccs_exp.jobs import keys
from ccs_exp.jobs.assemble import image_data
from ccs_exp.scoring.decompose import output_sums
from ccs_exp.scoring.donors import donors
from ccs_exp.store import Stages


def build_engine(
    cfg: DictConfig,
    model: ClipModel,
    conditions: Sequence[Condition],
    compute: Compute,
    probe: ImageData | None,
    weights: str | None = None,
    stages: Stages | None = None,
) -> Engine:
    """The engine that silences heads as ``ablation`` says; a pass over the probe where that takes one and it is not in the store.

    Args:
        probe: None where ``ablation=zero``.
        weights: what identifies them; None: nothing is kept.
    """
    ablation: Ablation = Zero()
    silenced = [head for condition in conditions for head in condition.heads]
    if probe is not None and silenced and cfg.ablation == "resample":
        scored = model.scored_heads[0].layer
        first = 0 if min(silenced).layer < scored else scored  # one of two, so that jobs share what is kept
        images = image_data(cfg, cfg.probe, probe.source, model, cfg.resample.donors)
        key = None if weights is None else keys.donors_key(cfg, weights, compute.device_type)
        found = donors(model, images, range(first, model.layers), compute, key, stages)
        ablation = replace(found, seeds=tuple(cfg.resample.seeds))
    elif probe is not None and silenced:
        key = None if weights is None else keys.moments_key(cfg, weights, compute.device_type)
        noted = None if stages is None or "output_sums" in stages.computed else stages  # the decomposition may just have made them
        sums = output_sums(model, probe, compute, key, noted)
        if cfg.ablation == "direct":
            return DirectEngine(sums.mean(sums.coefficients))
        ablation = Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})
    return PlainEngine(ablation) if cfg.engine == "plain" else SharedPrefixEngine(cfg.stack_size, ablation)
