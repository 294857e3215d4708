"""The start of a job: the data set is opened and the model loaded, as far as the job needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.repository import repository_named
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import ImageSource
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.jobs import keys
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.encode import build_model, image_data
from ccs_exp.jobs.weights import random_weights, remember_weights
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.store import Stages


@dataclass(frozen=True)
class Loaded:
    """What a job computes with. `model` is None where nothing is encoded, `source` where nothing is evaluated, `probe` where neither
    descriptions, nor what replaces silenced heads, nor an atlas come from it."""

    cfg: DictConfig
    compute: Compute
    stages: Stages
    name: str  # of the model, in all results
    model: ClipModel | None
    source: ImageSource | CaptionedVideos | None
    probe: ImageData | None = None
    weights: str = ""  # what identifies the model's in keys; empty: nothing that it computes is kept

    @property
    def encoder(self) -> ClipModel:
        """The model, for who encodes."""
        assert self.model is not None
        return self.model

    @property
    def probed(self) -> ImageData:
        """The probe, for who decomposes."""
        assert self.probe is not None
        return self.probe

    @property
    def data(self) -> ImageSource | CaptionedVideos:
        """The data set, for who evaluates."""
        assert self.source is not None
        return self.source

    def probe_pass(self, key_of: Callable[[DictConfig, str, str], keys.Key] = keys.moments_key) -> ProbePass:
        """What passes over the probe give; kept where what identifies the weights is known."""
        key = key_of(self.cfg, self.weights, self.compute.device_type) if self.weights else None
        return ProbePass(self.encoder, self.probed, self.compute, key, self.stages)


def load(
    cfg: DictConfig, compute: Compute, stages: Stages, asked: Collection[str], evaluates: bool, given: Scores | None
) -> Loaded:
    """The data set first: a wrong local copy is known at once.

    Args:
        asked: the keys that the command line named.
        given: the scores, where they are there already.
    """
    source = build(cfg.dataset.source) if evaluates else None
    if given is not None and not evaluates:
        return Loaded(cfg, compute, stages, _name_without_model(cfg, asked, given), None, source)
    model = build_model(cfg)
    sha256, path = model.origin.sha256, model.origin.path
    if cfg.model.weights is None and path is not None and sha256 is not None:
        remember_weights(cfg, path, sha256)
    asked_for = asks_probe(cfg, given is None, evaluates)
    probe = image_data(cfg, cfg.probe, build(cfg.probe.source), model) if asked_for else None
    return Loaded(cfg, compute, stages, model.name, model, source, probe, sha256 or random_weights(cfg))


def asks_probe(cfg: DictConfig, describes: bool, evaluates: bool) -> bool:
    """Whether a job looks at its probe: to describe heads, or beside an evaluation for what replaces them, or to show what they see."""
    return describes or (evaluates and (cfg.atlas or cfg.ablation != "zero"))


def _name_without_model(cfg: DictConfig, asked: Collection[str], scores: Scores) -> str:
    """The model that the scores are of, that the command line names, or that the file of descriptions is named after."""
    if scores.model:
        return scores.model
    if cfg.spans.name == "file" and "model" not in asked:
        return Path(cfg.spans.path).stem
    return cfg.model.variant or repository_named(cfg.model.name, cfg.model.repository) or f"{cfg.model.name}/{cfg.model.pretrained}"
