"""How many layer passes an evaluation takes: in the plan, and before each pass."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.operations import shared_layer_passes
from ccs_exp.heads import Condition
from ccs_exp.tasks.evaluation import distinct_sets


def layer_passes_of(engine: Engine, layers: int, chosen: Sequence[Condition]) -> str:
    """What `engine` takes for these conditions, beside a pass each."""
    masks, seeds = distinct_sets(chosen, engine.seeds)
    return _said(engine.layer_passes(layers, masks, seeds), layers, len(masks))


def planned_layer_passes(cfg: DictConfig, layers: int, chosen: Sequence[Condition]) -> str:
    """The same before there is an engine."""
    masks, seeds = distinct_sets(chosen, donor_seeds(cfg))
    taken = layers * len(masks) if cfg.engine == "plain" else shared_layer_passes(layers, masks, seeds)
    return _said(layers if cfg.ablation == "direct" else taken, layers, len(masks))


def donor_seeds(cfg: DictConfig) -> tuple[int, ...]:
    """Under which every set of heads is evaluated; one that means nothing where no donors are drawn."""
    return tuple(cfg.resample.seeds) if cfg.ablation == "resample" else (0,)


def _said(taken: int, layers: int, sets: int) -> str:
    of = f"{sets:,} set{'s' * (sets != 1)} of silenced heads"
    return f"{of} in {taken:,} layer passes of each batch ({layers * sets:,} would be a pass each)"
