"""Zero-shot classification under every pruning condition, of all tasks of a data set, in one pass over its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.data.images.source import Task
from ccs_exp.errors import CcsError
from ccs_exp.files import likeness, some
from ccs_exp.heads import Condition, Head
from ccs_exp.tasks.chance import blind_share, no_better_than_chance
from ccs_exp.tasks.evaluation import Evaluation, Outcomes, distinct_sets
from ccs_exp.tasks.margins import log_probabilities, margins

PRIMARY_METRIC = "top1"
_TOP_K = 5


def class_embeddings(
    model: ClipModel, class_names: Sequence[str], templates: Sequence[str], *, progress: bool = False
) -> Float[Tensor, "classes dim"]:
    """CLIP's zero-shot classifier: each prompt's embedding normalised, averaged over the templates, normalised again.

    Raises `CcsError` if there is no template, or one without ``{}`` for the class name.
    """
    if not templates:
        raise CcsError("dataset.templates is empty. Give at least one, as in 'dataset.templates=[\"a photo of a {}.\"]'.")
    bad = [template for template in templates if "{}" not in template]
    if bad:
        raise CcsError(f"The template {bad[0]!r} has no {{}} where the class name belongs.")
    prompts = [template.replace("{}", name) for name in class_names for template in templates]
    embeddings = model.encode_texts(prompts, progress=progress).reshape(len(class_names), len(templates), -1)
    return F.normalize(embeddings.mean(dim=1), dim=-1)


def _first_equal(classifier: Float[Tensor, "classes dim"]) -> Int[Tensor, " classes"]:
    """For each class the first that has the same embedding."""
    _, group = torch.unique(classifier, dim=0, return_inverse=True)
    order = torch.arange(len(group), device=group.device)
    first = torch.full_like(group, len(group)).scatter_reduce_(0, group, order, "amin")
    return first[group]


class _Classified(NamedTuple):
    """One batch under all masks, of one task; of samples that the task does not have, what stands there means nothing."""

    targets: Int[Tensor, " batch"]
    predictions: Int[Tensor, "masks batch"]
    places: Int[Tensor, "masks batch"]  # of the right class, from 0
    tied: Bool[Tensor, "masks batch"]
    margins: Float[Tensor, "masks batch"]
    log_probabilities: Float[Tensor, "masks batch"]
    finite: Bool[Tensor, ""]

    def on_cpu(self) -> _Classified:
        return _Classified(*(values.cpu() for values in self))


class _Batch(NamedTuple):
    """What a batch gave: its samples, their answers in every task, and what `seen` gave."""

    sample_ids: list[str]
    tasks: list[_Classified]
    seen: tuple[Tensor, ...]

    def on_cpu(self) -> _Batch:
        return _Batch(self.sample_ids, [task.on_cpu() for task in self.tasks], tuple(values.cpu() for values in self.seen))


class ZeroShotClassification(SharedModule):
    """Classifies each batch under all conditions; conditions with the same heads are computed once, and so are all tasks' embeddings."""

    def __init__(
        self,
        model: ClipModel,
        tasks: Sequence[Task],
        classifiers: Sequence[Float[Tensor, "classes dim"]],
        conditions: Sequence[Condition],
        engine: Engine,
    ):
        super().__init__()
        self.model, self.tasks, self.conditions, self.engine = model, tuple(tasks), tuple(conditions), engine
        self.scale, self.bias = model.logit_scale, model.logit_bias
        for number, classifier in enumerate(classifiers):
            self.register_buffer(f"classifier_{number}", classifier, persistent=False)
            # equal rows may come out of a matrix product unequal in the last digit, and must tie
            self.register_buffer(f"first_equal_{number}", _first_equal(classifier), persistent=False)
        self.masks, self.seeds = distinct_sets(conditions, engine.seeds)
        # on the model's device until the pass is over: to fetch them would hold up the next batch
        self._batches: list[_Batch | None] = []  # None: nothing in it could be decoded

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            self._batches.append(None)
            return
        embeddings = self.engine.encode(self.model, batch.pixels, self.masks, batch.sample_ids, self.seeds)
        targets = batch.targets.reshape(len(batch.sample_ids), -1)  # [batch, tasks]
        found = [self._classified(number, embeddings, targets[:, number]) for number in range(len(self.tasks))]
        self._batches.append(_Batch(batch.sample_ids, found, self.seen(embeddings, targets)))

    def seen(self, embeddings: Float[Tensor, "masks batch dim"], targets: Int[Tensor, "batch columns"]) -> tuple[Tensor, ...]:
        """What is kept of the same embeddings beside; targets may have columns after those of the tasks."""
        return ()

    def _classified(self, task: int, embeddings: Float[Tensor, "masks batch dim"], targets: Int[Tensor, " batch"]) -> _Classified:
        classifier, first_equal = self.get_buffer(f"classifier_{task}"), self.get_buffer(f"first_equal_{task}")
        with torch.autocast(embeddings.device.type, enabled=False):  # rounded similarities would tie
            precision = torch.promote_types(embeddings.dtype, torch.float32)
            similarities = (embeddings.to(precision) @ classifier.to(precision).T)[..., first_equal]  # [masks, batch, classes]
            right = targets.clamp(min=0).expand(len(embeddings), -1)[..., None]  # [masks, batch, 1]
            of_right = similarities.gather(-1, right)
            known = targets.clamp(min=0)
            margin = margins(similarities, known, self.scale).float()
            log_probability = log_probabilities(similarities, known, self.scale, self.bias).float()
        best = similarities.amax(dim=-1, keepdim=True)
        is_best = similarities == best
        before = torch.arange(similarities.shape[-1], device=right.device) < right  # among equals the lowest class index is first
        places = ((similarities > of_right) | ((similarities == of_right) & before)).sum(dim=-1)
        tied, finite = is_best.sum(dim=-1) > 1, similarities.isfinite().all()
        return _Classified(targets, is_best.int().argmax(dim=-1), places, tied, margin, log_probability, finite)

    def share_result(self) -> tuple[list[_Batch | None], list[str]]:
        return [batch and batch.on_cpu() for batch in self._batches], self.engine.warnings

    def combine_shares(self, results: Sequence[tuple[list[_Batch | None], list[str]]]) -> None:
        self._batches = in_order([batches for batches, _ in results])
        self.engine.warnings = list(dict.fromkeys(warning for _, warnings in results for warning in warnings))

    def evaluation(self) -> Evaluation:
        """The metrics and predictions of the pass. Raises `CcsError` if no sample could be evaluated."""
        batches = [batch for batch in self._batches if batch is not None]
        if not batches:
            raise CcsError("No sample of the data set could be evaluated: every image was skipped. Check the images.")
        sample_ids = np.array([sample for batch in batches for sample in batch.sample_ids], dtype=object)
        tasks = {
            task.name: self._outcomes(task, sample_ids, [batch.tasks[number] for batch in batches])
            for number, task in enumerate(self.tasks)
        }
        return Evaluation(self.conditions, self.masks, tasks, self.seeds)

    def _outcomes(self, task: Task, sample_ids: np.ndarray, batches: Sequence[_Classified]) -> Outcomes:
        *columns, finite = zip(*batches, strict=True)
        if not torch.stack(finite).all():
            raise CcsError("The embeddings are not all finite numbers. Use precision=32, or check the model's weights.")
        targets, predictions, places, tied, *of_right = (
            torch.cat(column, dim=-1).cpu().numpy() for column in columns
        )
        has = targets >= 0
        if not has.any():
            raise CcsError(f"No sample that could be evaluated has a value of the task {task.name!r}. Check the labels.")
        targets, predictions, places, tied = targets[has], predictions[:, has], places[:, has], tied[:, has]
        values = [_metrics(len(task.class_names), targets, *of_set) for of_set in zip(predictions, places, strict=True)]
        return Outcomes(
            primary=PRIMARY_METRIC,
            id_column="sample_id",
            ids=sample_ids[has].tolist(),
            fixed={"target": targets.astype(np.int32)},
            columns={
                "prediction": predictions.astype(np.int32),
                **{name: values[:, has] for name, values in zip(("margin", "log_probability"), of_right, strict=True)},
            },
            values=values,
            tied=tied.sum(axis=1).tolist(),
            num_samples=len(targets),
        )


def _metrics(
    classes: int, targets: Int[np.ndarray, " samples"], predicted: Int[np.ndarray, " samples"], places: Int[np.ndarray, " samples"]
) -> dict[str, float]:
    hits = predicted == targets
    values = {PRIMARY_METRIC: float(hits.mean())}
    if classes > _TOP_K:  # with five classes or fewer the top five are all of them
        values["top5"] = float((places < _TOP_K).mean())
    samples = np.bincount(targets)
    right = np.bincount(targets, hits)[samples > 0]  # over the classes that have samples: one without has no accuracy
    return values | {"mean_per_class": float((right / samples[samples > 0]).mean())}


def classify(
    model: ClipModel,
    data: ImageData,
    tasks: Sequence[Task],
    conditions: Sequence[Condition],
    engine: Engine,
    compute: Compute,
) -> Evaluation:
    """Evaluate all conditions on all `tasks` of `data` in one pass."""
    return evaluated(ZeroShotClassification(model, tasks, classifiers_of(model, tasks, compute), conditions, engine), data, compute)


def classifiers_of(model: ClipModel, tasks: Sequence[Task], compute: Compute) -> list[Float[Tensor, "classes dim"]]:
    """The classifier of each task, on the CPU."""
    with compute.placed(model):
        return [class_embeddings(model, task.class_names, task.templates, progress=compute.progress).cpu() for task in tasks]


def evaluated(module: ZeroShotClassification, data: ImageData, compute: Compute) -> Evaluation:
    """The pass of `module` over `data`, and what a reader must be told of it."""
    compute.run(module, data, "Evaluating conditions")
    evaluation = module.evaluation()
    evaluation.skipped = list(data.skipped)
    if data.skipped:
        evaluation.warnings.append(f"{len(data.skipped)} images could not be decoded and were skipped.")
    evaluation.warnings += [*data.oddities(), *(text for task in module.tasks for text in _oddities(evaluation, task))]
    return evaluation


def _oddities(evaluation: Evaluation, task: Task) -> list[str]:
    """What a reader must be told of a task: classes of one name, classes without an image, an original model that guesses."""
    original, outcomes = frozenset[Head](), evaluation.tasks[task.name]
    of, targets = f" of {task.name}" if len(evaluation.tasks) > 1 else "", outcomes.fixed["target"]
    alike, there = Counter(map(likeness, task.class_names)), set(targets.tolist())
    twice = [repr(name) for name in task.class_names if alike[likeness(name)] > 1]
    absent = [name for number, name in enumerate(task.class_names) if number not in there]
    told = [f"Classes{of} with one name, which no prompt tells apart: {some(twice)}."] if twice else []
    told += [f"{len(absent)} of {len(task.class_names)} classes{of} have no image here: {some(absent)}."] if absent else []
    if original in evaluation.sets:
        predictions = outcomes.columns["prediction"][evaluation.sets.index(original)]
        hits, chance = int((targets == predictions).sum()), blind_share(targets, predictions)
        told += no_better_than_chance(f"{PRIMARY_METRIC}{of}", hits, len(targets), chance)
    return told
