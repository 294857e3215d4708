"""The same steps for notebooks and scripts: load a model, score its heads, silence heads, evaluate.

What a job has computed is not computed again here, and the other way round. Wrong arguments raise `CcsError`, which names right ones.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from omegaconf import DictConfig

from ccs_exp.atlas.figures import HeadView
from ccs_exp.atlas.questions import Questions
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.config.plain import plain
from ccs_exp.config.schema import config_dir, configure
from ccs_exp.config.signatures import signature
from ccs_exp.errors import CcsError
from ccs_exp.heads import ORIGINAL, Condition, Head, check_heads
from ccs_exp.jobs import assemble
from ccs_exp.jobs.csv_rows import accuracy_rows
from ccs_exp.jobs.encode import build_compute, image_data
from ccs_exp.jobs.evidence_stage import find_evidence
from ccs_exp.jobs.experiment import evaluate_all, prune
from ccs_exp.jobs.frames import Evaluated, Evidence
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.jobs.resume import asked_keys
from ccs_exp.jobs.score_stage import describe_and_score
from ccs_exp.jobs.weights import random_weights
from ccs_exp.scoring.ccs import Scores
from ccs_exp.store import Stages, as_bytes

_COMPUTING = ("batch_size", "num_workers", "pixel_cache", "data_dir", "on_error", "device", "precision", "trainer")
_SCORING = ("probe", "pool", "textspan", "labeler", "judge", "ccs.high", "ccs.low", *_COMPUTING)
_EVIDENCE = ("evidence", "prune")  # beside those of both
_EVALUATING = ("dataset", "protocol", "ablation", "resample", "probe", "engine", "stack_size", *_COMPUTING)

_as_loaded: WeakKeyDictionary[ClipModel, str] = WeakKeyDictionary()  # the numbers of models as a job would load them


@dataclass(frozen=True, repr=False)
class HeadScores(Scores):
    """Scores whose heads can be looked at: ``scores["L5.H6"].images()``, ``scores["L5.H6"].heatmap(image)``."""

    questions: Callable[[], Questions] | None = field(default=None, compare=False)

    def __getitem__(self, head: Head | str) -> HeadView:
        """Raises `CcsError` for what is no scored head."""
        found = {str(score.head): score for score in self.heads}
        if str(head) not in found or self.questions is None:
            raise CcsError(f"{head} is no scored head of this model. There are {self.heads[0].head} to {self.heads[-1].head}.")
        return HeadView(found[str(head)], self.questions)


def load_model(name: str = "tiny", **options: Any) -> ClipModel:
    """Load a CLIP model. Warns where its weights are random.

    Args:
        name: one of the command line's ``model=`` choices (`tiny`, `vitb32_openai` ...), an open_clip architecture, or with
            ``repository=True`` a folder or ``ORG/NAME`` of the hub.
        options: as for `ccs_exp.clip.loading.load_clip`: `pretrained`, `weights`, `seed`, `device` ... An architecture without
            `pretrained` has random weights.

    Raises:
        CcsError: no such model or option, or weights that cannot be loaded.
    """
    if not isinstance(name, str):
        raise CcsError(f"load_model({name!r}): give a name, one of {', '.join(model_choices())}, or an open_clip architecture.")
    _check_options(options)
    chosen = name in model_choices()
    known = plain(configure(f"model={name}").model) if chosen else {"name": name}
    try:
        model = load_clip(**(known | options))
    except CcsError as error:
        if chosen:
            raise
        raise CcsError(f"{error} Models with names of our own: {', '.join(model_choices())}.") from error
    except (RuntimeError, AssertionError) as error:  # torch's, of a device that is not there
        raise CcsError(f"load_model(device={options.get('device')!r}): {' '.join(str(error).split())[:200]}") from error
    if model.origin.random:
        warnings.warn(f"{model.name} has {model.origin.description}: what it scores and sees means nothing.", stacklevel=2)
    if chosen and not options:
        _as_loaded[model] = _numbers(model)
    return model


def model_choices() -> tuple[str, ...]:
    """The names of the model configurations that need no further setting."""
    return tuple(sorted(path.stem for path in Path(config_dir(), "model").glob("*.yaml") if path.stem not in ("open_clip", "hf")))


def score_heads(model: ClipModel, *overrides: str, progress: bool = True) -> HeadScores:
    """Score every head of the last four layers.

    What one of them sees: ``scores["L5.H6"].images()``.

    Args:
        overrides: as on the command line: ``"probe=folder", "probe.path=DIR", "pool=taxonomy"``. By default the probe, pool,
            labeler and judge that the model's configuration brings.

    Raises:
        CcsError: what is no model, or a setting that is not known or has no effect here.
    """
    cfg = _configure("score_heads", model, overrides, _SCORING)
    scorers = assemble.build_scorers(cfg)
    scorers.check_ready()
    loaded = _loaded(model, cfg, progress, evaluates=False, probed=True)
    found = describe_and_score(loaded, False, scorers).scores

    @cache
    def questions() -> Questions:
        return Questions(model, loaded.probe_pass().contributions(), loaded.probe, {})

    return HeadScores(found.heads, found.concepts, found.model, questions)


def evaluate(
    model: ClipModel,
    dataset: str,
    heads: Mapping[str, Iterable[Head | str]] | None = None,
    *overrides: str,
    progress: bool = True,
) -> Evaluated:
    """What the data set's task measures with no head silenced (`original`) and with each of the named sets.

    Args:
        heads: sets of heads by name, each head a `Head` or its name: ``{"mine": ["L2.H0", "L3.H1"]}``.
        overrides: as on the command line: ``"dataset.limit=100"``, ``"ablation=mean"``.

    Raises:
        CcsError: what is no model, data set or head, or a setting that is not known or has no effect here.
    """
    if not isinstance(dataset, str) or dataset == "none":
        raise CcsError(f"evaluate(dataset={dataset!r}): name a data set, as in evaluate(model, 'digits').")
    cfg = _configure("evaluate", model, (f"dataset={dataset}", *overrides), _EVALUATING)
    conditions = [Condition(ORIGINAL, frozenset()), *_named_sets(model, heads)]
    evaluation = evaluate_all(_loaded(model, cfg, progress, evaluates=True, probed=cfg.ablation != "zero"), conditions)
    return Evaluated(evaluation.values, accuracy_rows(model.name, cfg.dataset.name, conditions, evaluation))


def evidence(model: ClipModel, dataset: str, *overrides: str, progress: bool = True) -> Evidence:
    """What silencing each scored head does, what it represents and whether its label is true, on a data set of images or videos.

    Heads are scored as `score_heads` does, then silenced as ``prune=evidence`` says: high ones beside 50 sets that match them layer by
    layer, each alone. Sources: Chang et al. 2009 (intruders), delphi (detection), Gandelsman et al. 2024 (sufficiency).

    Args:
        overrides: as on the command line: ``"dataset.limit=200"``, ``"prune.matched.draws=200"``, ``"evidence.sufficiency=true"``.

    Raises:
        CcsError: what is no model or data set, or a setting that is not known or has no effect here.
    """
    if not isinstance(dataset, str) or dataset == "none":
        raise CcsError(f"evidence(dataset={dataset!r}): name a data set, as in evidence(model, 'scenes').")
    effective = (*_EVIDENCE, *_SCORING, *_EVALUATING)
    cfg = _configure("evidence", model, ("prune=evidence", f"dataset={dataset}", *overrides), effective)
    scorers = assemble.build_scorers(cfg)
    scorers.check_ready()
    loaded = _loaded(model, cfg, progress, evaluates=True, probed=True)
    scored = describe_and_score(loaded, True, scorers)
    chosen = prune(loaded, assemble.build_strategies(cfg.prune), scored.scores)
    found = find_evidence(loaded, scored, evaluate_all(loaded, chosen), scorers)
    return Evidence(found.tables, found.summary)


def _named_sets(model: ClipModel, heads: Mapping[str, Iterable[Head | str]] | None) -> list[Condition]:
    if not isinstance(heads, Mapping | None):
        raise CcsError(f"evaluate(heads={heads!r}): give sets of heads by name, as in {{'mine': ['L2.H0']}}.")
    if ORIGINAL in (heads or {}):
        raise CcsError(f"{ORIGINAL!r} is the condition without silenced heads; give this set of heads another name.")
    shape = model.layers, model.heads_per_layer, model.name
    return [Condition(str(name), check_heads(silenced, *shape)) for name, silenced in (heads or {}).items()]


def _check_options(options: Mapping[str, Any]) -> None:
    found = signature(f"{load_clip.__module__}.{load_clip.__name__}")
    known = {name: kind for name, kind in (found.parameters if found else {}).items() if name != "name"}
    for option, value in options.items():
        if option not in known:
            raise CcsError(f"load_model() has no option {option!r}. Its options: {', '.join(known)}.")
        if not known[option].admits(str(value) if isinstance(value, Path) else value):
            raise CcsError(f"load_model({option}={value!r}): give {known[option].words}.")


def _configure(function: str, model: ClipModel, overrides: Sequence[str], effective: tuple[str, ...]) -> DictConfig:
    if not isinstance(model, ClipModel):
        raise CcsError(f"{function}({model!r}): give a model as load_model() returns it.")
    wrong = [override for override in overrides if not isinstance(override, str)]
    if wrong:
        raise CcsError(f"{function}(..., {wrong[0]!r}): give settings as on the command line, as in 'batch_size=32'.")
    architecture, slash, pretrained = model.name.rpartition("/")
    tag = pretrained if slash and pretrained != "random" else "null"
    own = ["model=open_clip", f"model.name='{architecture or model.name}'", f"model.pretrained={tag}"]
    if model.origin.repository:
        own = ["model=hf", f"model.name='{model.origin.description}'"]
    cfg = configure(*([f"model={model.name}"] if model.name in model_choices() else own), *overrides)
    for key in asked_keys(overrides):
        if not any(key == part or key.startswith(f"{part}.") for part in effective):
            raise CcsError(f"{key}= has no effect on {function}(). What has: {', '.join(effective)}.")
    return cfg


def _loaded(model: ClipModel, cfg: DictConfig, progress: bool, *, evaluates: bool, probed: bool) -> Loaded:
    source = assemble.build(cfg.dataset.source) if evaluates else None
    probe = image_data(cfg, cfg.probe, assemble.build(cfg.probe.source), model) if probed else None
    return Loaded(cfg, build_compute(cfg, progress), Stages(), model.name, model, source, probe, _weights(model, cfg))


def _weights(model: ClipModel, cfg: DictConfig) -> str:
    """What identifies the model in keys: as for a job where it is as a job would load it, else its numbers. Empty, so that nothing is
    kept, while hooks (a mask around the call) change what it computes."""
    for module in model.modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return ""
    numbers = _numbers(model)
    if _as_loaded.get(model) == numbers:
        return model.origin.sha256 or random_weights(cfg)
    return f"numbers {numbers}"


def _numbers(model: ClipModel) -> str:
    """SHA-256 of all weights as they are, and of how images are preprocessed."""
    digest = hashlib.sha256(str(model.transform).encode())
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(as_bytes(value))
    return digest.hexdigest()
