"""The same steps for notebooks and scripts: load a model, score its heads, silence heads, evaluate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.config.schema import config_dir, configure
from ccs_exp.errors import CcsError
from ccs_exp.heads import ORIGINAL, Condition, Head
from ccs_exp.jobs import assemble, plan
from ccs_exp.jobs.ablation import build_engine
from ccs_exp.scoring.ccs import Scores, score
from ccs_exp.scoring.describe import describe_heads


def load_model(name: str = "tiny", **options: Any) -> ClipModel:
    """Load a CLIP model.

    Args:
        name: one of the command line's ``model=`` choices (`tiny`, `vitb32_openai` ...), or an open_clip architecture.
        options: as for `ccs_exp.clip.loading.load_clip`: `pretrained`, `weights`, `seed`, `device` ... An architecture without
            `pretrained` has random weights.
    """
    known = OmegaConf.to_container(configure(f"model={name}").model) if name in model_choices() else {"name": name}
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
    probe = assemble.image_data(cfg, cfg.probe, assemble.build(cfg.probe.source), model)
    spans = describe_heads(model, probe, assemble.build_pool(cfg.pool), assemble.build_compute(cfg, progress), cfg.textspan)
    scorers = assemble.build_scorers(cfg)
    plan.announce(scorers, spans)
    return score(spans, scorers.labeler, scorers.judge, scorers.thresholds)


def evaluate(
    model: ClipModel,
    dataset: str,
    heads: Mapping[str, Iterable[Head]] | None = None,
    *overrides: str,
    progress: bool = False,
) -> dict[str, dict[str, float]]:
    """What the data set's task measures, ``{condition: {metric: value}}``, with no head silenced (`original`) and with each of the named
    sets. Accuracies and recalls are fractions, ranks in items.
    """
    cfg = _configure(model, (f"dataset={dataset}", *overrides))
    if ORIGINAL in (heads or {}):
        raise CcsError(f"{ORIGINAL!r} is the condition without silenced heads; give this set of heads another name.")
    conditions = [Condition(ORIGINAL, frozenset())]
    conditions += [Condition(name, frozenset(silenced)) for name, silenced in (heads or {}).items()]
    source, compute = assemble.build(cfg.dataset.source), assemble.build_compute(cfg, progress)
    replaces = cfg.ablation != "zero"
    probe = assemble.image_data(cfg, cfg.probe, assemble.build(cfg.probe.source), model) if replaces else None
    return assemble.evaluate(cfg, source, model, conditions, compute, build_engine(cfg, model, conditions, compute, probe)).values


def _configure(model: ClipModel, overrides: Iterable[str]) -> DictConfig:
    if model.name in model_choices():
        return configure(f"model={model.name}", *overrides)
    architecture, _, pretrained = model.name.rpartition("/")
    return configure("model=open_clip", f"model.name={architecture}", f"model.pretrained={pretrained}", *overrides)
