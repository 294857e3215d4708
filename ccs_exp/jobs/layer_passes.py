"""How many layer passes an evaluation takes: in the plan where the heads are known already, and before each pass."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from ccs_exp.clip.architecture import EncoderShape
from ccs_exp.clip.engine import Engine
from ccs_exp.clip.layer_passes import shared_layer_passes
from ccs_exp.heads import Condition, scored_heads
from ccs_exp.pruning.conditions import conditions
from ccs_exp.pruning.context import PruningContext, Strategy
from ccs_exp.pruning.designs import Matched
from ccs_exp.pruning.strategies import EachHead, Heads
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.published import published_scores
from ccs_exp.tasks.evaluation import distinct_sets


def layer_passes_of(engine: Engine, layers: int, chosen: Sequence[Condition]) -> str:
    """What `engine` takes for these conditions, beside a pass each."""
    masks, seeds = distinct_sets(chosen, engine.seeds)
    return _said(engine.layer_passes(layers, masks, seeds), layers, len(masks))


def planned_layer_passes(cfg: DictConfig, strategies: Sequence[Strategy | Matched], shape: EncoderShape | None) -> str:
    """The same before anything is computed; where the heads follow from scores that are not there yet, when it will be said."""
    chosen = _known_conditions(cfg, strategies, shape) if shape else None
    if shape is None or chosen is None:
        return "in how many layer passes is said before it, once the heads are known"
    masks, seeds = distinct_sets(chosen, tuple(cfg.resample.seeds) if cfg.ablation == "resample" else (0,))
    taken = shape.layers * len(masks) if cfg.engine == "plain" else shared_layer_passes(shape.layers, masks, seeds)
    return _said(shape.layers if cfg.ablation == "direct" else taken, shape.layers, len(masks))


def _said(taken: int, layers: int, sets: int) -> str:
    of = f"{sets:,} set{'s' * (sets != 1)} of silenced heads"
    return f"{of} in {taken:,} layer passes of each batch ({layers * sets:,} would be a pass each)"


def _known_conditions(
    cfg: DictConfig, strategies: Sequence[Strategy | Matched], shape: EncoderShape
) -> tuple[Condition, ...] | None:
    if cfg.ccs.name == "published":
        scores = published_scores(cfg.model.variant)
    elif cfg.ccs.name == "computed" and all(isinstance(strategy, EachHead | Heads | Matched) for strategy in strategies):
        heads = scored_heads(shape.layers, shape.heads_per_layer)
        scores = Scores(tuple(HeadScore(head, None, None, None) for head in heads))
    else:
        return None
    context = PruningContext(scores, shape.layers, shape.heads_per_layer, cfg.model.name)
    return conditions(strategies, context, cfg.prune.match_seeds if cfg.prune.match_count else None)
