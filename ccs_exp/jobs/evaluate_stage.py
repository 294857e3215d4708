"""The evaluation of all conditions on a data set, as the configuration asks for it.

An entry point of the keys of evaluations (`ccs_exp.jobs.keys`): what it imports is what they rest on.
"""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import with_openai_statistics
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.part import People
from ccs_exp.data.images.source import ImageSource, Task
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition
from ccs_exp.jobs.encode import image_data
from ccs_exp.journal.log import note, stage
from ccs_exp.tasks.classification import classify
from ccs_exp.tasks.evaluation import Evaluation
from ccs_exp.tasks.group_rankings import Occupations
from ccs_exp.tasks.occupations import rank_people
from ccs_exp.tasks.retrieval import retrieve


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
    if isinstance(source, CaptionedVideos) and cfg.dataset.task == "retrieval":
        frames = frame_data(cfg, source, model)
        evaluation = retrieve(model, frames, conditions, engine, compute, renormalise=cfg.protocol == "standard", name=cfg.dataset.name)
        note(images=len(frames.captioned.videos) * cfg.dataset.frames)
    elif not isinstance(source, CaptionedVideos) and cfg.dataset.task == "classification":
        images = image_data(cfg, cfg.dataset, source, model, cfg.dataset.limit)
        evaluation = classify(model, images, image_tasks(cfg.dataset, source), conditions, engine, compute)
        note(images=len(images))
    elif isinstance(source, People) and cfg.dataset.task == "skew":
        images = image_data(cfg, cfg.dataset, source, model, cfg.dataset.limit)
        prompts, paper = tuple(cfg.dataset.templates), cfg.protocol == "paper"
        asked = Occupations(source.occupations, prompts, source.own, cfg.dataset.top_k, paper)
        evaluation = rank_people(model, images, image_tasks(cfg.dataset, source), asked, conditions, engine, compute)
        note(images=len(images))
    else:
        raise CcsError(
            f"dataset.task={cfg.dataset.task} is not a task for dataset={cfg.dataset.name}. Leave dataset.task as it is."
        )
    note(conditions=len(conditions))
    evaluation.warnings += [*source.notes, *engine.warnings]
    evaluation.decoder = ", ".join(filter(None, (evaluation.decoder, source.decoder))) or None
    return evaluation


def image_tasks(node: DictConfig, source: ImageSource) -> tuple[Task, ...]:
    """The tasks of a data set of images: of one label column, named after the data set, or one for each of several."""
    columns = source.tasks
    if columns is None:
        return (Task(node.name, tuple(source.class_names), tuple(node.templates) or source.templates),)
    return tuple(Task(name, tuple(names), tuple(node.tasks.get(name) or node.templates)) for name, names in columns.items())


def frame_data(cfg: DictConfig, videos: CaptionedVideos, model: ClipModel) -> FrameData:
    """The frames of a data set's videos as batches; ``protocol=paper`` normalises by OpenAI's mean and std for every model."""
    return FrameData(
        videos.limited(cfg.dataset.limit),
        with_openai_statistics(model.transform) if cfg.protocol == "paper" else model.transform,
        frames=cfg.dataset.frames,
        shuffled=cfg.dataset.frame_order == "shuffled",
        batch_size=cfg.batch_size,
        on_error=cfg.on_error,
        num_workers=cfg.num_workers,
    )
