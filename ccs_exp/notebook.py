"""The same steps for notebooks and scripts: load a model, score its heads, silence heads, evaluate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ccs_exp import assemble
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.config import config_dir, configure
from ccs_exp.heads import Head
from ccs_exp.pruning import ORIGINAL, Condition
from ccs_exp.scoring.ccs import Scores, score
from ccs_exp.scoring.describe import describe_heads
from ccs_exp.tasks.classification import classify


def load_model(name: str = "tiny", pretrained: str | None = None, **options) -> ClipModel:
    """Load a CLIP model.

    Args:
        name: one of the command line's ``model=`` choices (`tiny`, `vitb32_openai` ...), or an open_clip architecture.
        pretrained: with an open_clip architecture, the tag of its checkpoint; None for random weights.
        options: as for `ccs_exp.clip.loading.load_clip`: `weights`, `seed`, `device` ...
    """
    if name not in model_choices():
        return load_clip(name, pretrained, **options)
    known = OmegaConf.to_container(configure(f"model={name}").model)
    return load_clip(**(known | options))


def model_choices() -> tuple[str, ...]:
    """The names of the model configurations that need no further setting."""
    return tuple(sorted(path.stem for path in Path(config_dir(), "model").glob("*.yaml") if path.stem != "open_clip"))


def score_heads(model: ClipModel, *overrides: str, progress: bool = False) -> Scores:
    """Score every head of the last four layers.

    Args:
        overrides: as on the command line: ``"probe=folder", "probe.path=DIR", "pool=taxonomy"``. By default the probe, pool,
            labeler and judge that the model's configuration brings.
    """
    cfg = _configure(model, overrides)
    probe = assemble.image_data(cfg, assemble.build(cfg.probe.source), model)
    spans = describe_heads(model, probe, assemble.build_pool(cfg.pool), assemble.build_compute(cfg, progress), cfg.textspan)
    return score(spans, assemble.build(cfg.labeler), assemble.build(cfg.judge), assemble.build_thresholds(cfg.ccs))


def evaluate(
    model: ClipModel,
    dataset: str,
    heads: Mapping[str, Iterable[Head]] | None = None,
    *overrides: str,
    progress: bool = False,
) -> dict[str, dict[str, float]]:
    """Zero-shot accuracies, ``{condition: {metric: fraction}}``, with no head silenced (`original`) and with each of the named sets."""
    cfg = _configure(model, (f"dataset={dataset}", *overrides))
    conditions = [Condition(ORIGINAL, frozenset())]
    conditions += [Condition(name, frozenset(silenced)) for name, silenced in (heads or {}).items()]
    data = assemble.image_data(cfg, assemble.build(cfg.dataset.source), model, cfg.dataset.limit)
    compute, engine = assemble.build_compute(cfg, progress), assemble.build_engine(cfg)
    return classify(model, data, cfg.dataset.templates, conditions, engine, compute).values


def _configure(model: ClipModel, overrides: Iterable[str]) -> DictConfig:
    choice = [f"model={model.name}"] if model.name in model_choices() else []
    return configure(*choice, *overrides)
