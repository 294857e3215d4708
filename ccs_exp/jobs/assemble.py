"""From configuration nodes to the objects they describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import with_openai_statistics
from ccs_exp.compute.trainer import Compute
from ccs_exp.config.schema import PruneConfig
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.pixel_store import pixel_store
from ccs_exp.data.images.source import ImageSource, Task
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition
from ccs_exp.jobs.keys import remember_weights
from ccs_exp.journal.log import note, stage
from ccs_exp.llm.session import share_session
from ccs_exp.pruning.context import Strategy
from ccs_exp.scoring.ccs import Thresholds
from ccs_exp.scoring.pool import Pool, file_pool, original_pool, taxonomy_pool
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.tasks.classification import classify
from ccs_exp.tasks.evaluation import Evaluation
from ccs_exp.tasks.retrieval import retrieve


def build(node: DictConfig, **more: Any) -> Any:
    """Instantiate what the node's ``_target_`` names; `CcsError`s of its constructor come through as they are."""
    try:
        return instantiate(_without_names(OmegaConf.to_container(node, resolve=True)), **more, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, CcsError):
            raise error.__cause__ from None
        raise


def _without_names(node: Any) -> Any:
    """What is built takes no ``name``: that is what the command line calls the choice."""
    if not isinstance(node, dict):
        return node
    return {key: _without_names(value) for key, value in node.items() if key != "name" or "_target_" not in node}


@stage("load")
def build_model(cfg: DictConfig) -> ClipModel:
    model = load_clip(**OmegaConf.to_container(cfg.model, resolve=True), seed=cfg.seed)
    if cfg.model.weights is None and model.origin.path is not None:
        remember_weights(cfg, model.origin.path, model.origin.sha256)
    return model


def image_data(cfg: DictConfig, node: DictConfig, source: ImageSource, model: ClipModel, limit: int | None = None) -> ImageData:
    """The images of a data set or a probe as batches, preprocessed for `model`."""
    return ImageData(
        source,
        model.transform,
        batch_size=cfg.batch_size,
        limit=limit,
        on_error=cfg.on_error,
        num_workers=cfg.num_workers,
        pixel_store=pixel_store(OmegaConf.to_container(node.source, resolve=True), source, model) if cfg.pixel_cache else None,
    )


def frame_data(cfg: DictConfig, videos: CaptionedVideos, model: ClipModel) -> FrameData:
    """The frames of a data set's videos as batches; ``protocol=paper`` normalises by OpenAI's mean and std for every model."""
    return FrameData(
        videos.limited(cfg.dataset.limit),
        with_openai_statistics(model.transform) if cfg.protocol == "paper" else model.transform,
        frames=cfg.dataset.frames,
        batch_size=cfg.batch_size,
        on_error=cfg.on_error,
        num_workers=cfg.num_workers,
    )


@stage("evaluate")
def evaluate(
    cfg: DictConfig,
    source: ImageSource | CaptionedVideos,
    model: ClipModel,
    conditions: Sequence[Condition],
    compute: Compute,
    engine: Engine,
) -> Evaluation:
    """All conditions on the data set `source`, by the task that its configuration names."""
    if isinstance(source, CaptionedVideos) != (cfg.dataset.task == "retrieval"):
        raise CcsError(
            f"dataset.task={cfg.dataset.task} is not a task for dataset={cfg.dataset.name}. Leave dataset.task as it is."
        )
    if cfg.dataset.task == "retrieval":
        frames = frame_data(cfg, source, model)
        evaluation = retrieve(model, frames, conditions, engine, compute, renormalise=cfg.protocol == "standard", name=cfg.dataset.name)
        note(images=len(frames.captioned.videos) * cfg.dataset.frames)
    else:
        images = image_data(cfg, cfg.dataset, source, model, cfg.dataset.limit)
        evaluation = classify(model, images, image_tasks(cfg.dataset, source), conditions, engine, compute)
        note(images=len(images))
    note(conditions=len(conditions))
    evaluation.warnings += [*source.notes, *engine.warnings]
    evaluation.decoder = ", ".join(filter(None, (evaluation.decoder, source.decoder))) or None
    return evaluation


def image_tasks(node: DictConfig, source: ImageSource) -> tuple[Task, ...]:
    """The tasks of a data set of images: of one label column, named after the data set, or one for each of several."""
    columns = getattr(source, "tasks", None)
    if columns is None:
        return (Task(node.name, tuple(source.class_names), tuple(node.templates)),)
    return tuple(Task(name, tuple(names), tuple(node.tasks.get(name) or node.templates)) for name, names in columns.items())


def build_pool(node: DictConfig) -> Pool:
    if node.name == "clip_text_span":
        return original_pool()
    if node.name == "file":
        return file_pool(node.path)
    return taxonomy_pool(node.name, node.parts)


def build_strategies(node: DictConfig) -> list[Strategy]:
    return [build(node[name]) for name in PruneConfig.STRATEGIES if node[name]]


def build_scorers(cfg: DictConfig) -> Scorers:
    """Labeler, judge and thresholds; those of them that ask language models share one budget and one record."""
    labeler, judge = build(cfg.labeler), build(cfg.judge)
    return Scorers(labeler, judge, build_thresholds(cfg.ccs), share_session(labeler, judge))


def build_thresholds(node: DictConfig) -> Thresholds:
    return Thresholds(node.high, node.low)


def build_compute(cfg: DictConfig, progress: bool = True) -> Compute:
    precision = int(cfg.precision) if str(cfg.precision).isdigit() else cfg.precision
    return Compute(cfg.device, precision, progress, cfg.trainer.devices, cfg.trainer.num_nodes)
