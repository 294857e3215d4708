"""Zero-shot classification under every pruning condition, in one pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import lightning
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.metrics import accuracy_score, recall_score
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition
from ccs_exp.tasks.evaluation import Evaluation, first_conditions, prediction_table

PRIMARY_METRIC = "top1"
_TOP_K = 5


def class_embeddings(model: ClipModel, class_names: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "classes dim"]:
    """CLIP's zero-shot classifier: each prompt's embedding normalised, averaged over the templates, normalised again.

    Raises `CcsError` if there is no template, or one without ``{}`` for the class name.
    """
    if not templates:
        raise CcsError("dataset.templates is empty. Give at least one, as in 'dataset.templates=[\"a photo of a {}.\"]'.")
    bad = [template for template in templates if "{}" not in template]
    if bad:
        raise CcsError(f"The template {bad[0]!r} has no {{}} where the class name belongs.")
    prompts = [template.replace("{}", name) for name in class_names for template in templates]
    embeddings = model.encode_texts(prompts).reshape(len(class_names), len(templates), -1)
    return F.normalize(embeddings.mean(dim=1), dim=-1)


def _first_equal(classifier: Float[Tensor, "classes dim"]) -> Int[Tensor, " classes"]:
    """For each class the first that has the same embedding."""
    _, group = torch.unique(classifier, dim=0, return_inverse=True)
    order = torch.arange(len(group), device=group.device)
    first = torch.full_like(group, len(group)).scatter_reduce_(0, group, order, "amin")
    return first[group]


class _Classified(NamedTuple):
    """One batch under all masks."""

    sample_ids: list[str]
    targets: Int[Tensor, " batch"]
    predictions: Int[Tensor, "masks batch"]
    places: Int[Tensor, "masks batch"]  # of the right class, from 0
    tied: Bool[Tensor, "masks batch"]
    finite: Bool[Tensor, ""]

    def on_cpu(self) -> _Classified:
        return self._replace(**{name: getattr(self, name).cpu() for name in self._fields[1:]})


class ZeroShotClassification(lightning.LightningModule):
    """Classifies each batch under all conditions; conditions with the same heads are computed once."""

    def __init__(
        self, model: ClipModel, classifier: Float[Tensor, "classes dim"], conditions: Sequence[Condition], engine: Engine
    ):
        super().__init__()
        self.model, self.conditions, self.engine = model, conditions, engine
        self.register_buffer("classifier", classifier, persistent=False)
        # equal rows may come out of a matrix product unequal in the last digit, and must tie
        self.register_buffer("first_equal", _first_equal(classifier), persistent=False)
        self.masks = list(dict.fromkeys(condition.heads for condition in conditions))
        # on the model's device until the pass is over: to fetch them would hold up the next batch
        self._batches: list[_Classified | None] = []  # None: nothing in it could be decoded

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            self._batches.append(None)
            return
        embeddings = self.engine.encode(self.model, batch.pixels, self.masks)
        with torch.autocast(embeddings.device.type, enabled=False):  # rounded similarities would tie
            precision = torch.promote_types(embeddings.dtype, torch.float32)
            similarities = embeddings.to(precision) @ self.classifier.to(precision).T  # [masks, batch, classes]
            similarities = similarities[..., self.first_equal]
        best = similarities.amax(dim=-1, keepdim=True)
        is_best = similarities == best
        right = batch.targets.expand(len(self.masks), -1)[..., None]  # [masks, batch, 1]
        of_right = similarities.gather(-1, right)
        before = torch.arange(similarities.shape[-1], device=right.device) < right  # among equals the lowest class index is first
        places = ((similarities > of_right) | ((similarities == of_right) & before)).sum(dim=-1)
        tied, finite = is_best.sum(dim=-1) > 1, similarities.isfinite().all()
        self._batches.append(_Classified(batch.sample_ids, batch.targets, is_best.int().argmax(dim=-1), places, tied, finite))

    def part(self) -> tuple[list[_Classified | None], list[str]]:
        return [batch and batch.on_cpu() for batch in self._batches], self.engine.warnings

    def merge(self, parts: Sequence[tuple[list[_Classified | None], list[str]]]) -> None:
        self._batches = in_order([batches for batches, _ in parts])
        self.engine.warnings = list(dict.fromkeys(warning for _, warnings in parts for warning in warnings))

    def evaluation(self) -> Evaluation:
        """The metrics and predictions of the pass. Raises `CcsError` if no sample could be evaluated."""
        batches = [batch for batch in self._batches if batch is not None]
        if not batches:
            raise CcsError("No sample of the data set could be evaluated: every image was skipped. Check the images.")
        if not torch.stack([batch.finite for batch in batches]).all():
            raise CcsError("The embeddings are not all finite numbers. Use precision=32, or check the model's weights.")
        sample_ids = [sample for batch in batches for sample in batch.sample_ids]
        targets, predictions, places, tied = (
            torch.cat(parts, dim=-1).cpu().numpy()
            for parts in zip(*((b.targets, b.predictions, b.places, b.tied) for b in batches), strict=True)
        )
        values, parts = {}, []
        for condition in self.conditions:
            index = self.masks.index(condition.heads)
            predicted = predictions[index]
            values[condition.name] = {PRIMARY_METRIC: float(accuracy_score(targets, predicted))}
            if self.classifier.shape[0] > _TOP_K:  # with five classes or fewer the top five are all of them
                values[condition.name]["top5"] = float((places[index] < _TOP_K).mean())
            # over the classes that have samples: one without has no accuracy
            recall = recall_score(targets, predicted, labels=np.unique(targets), average="macro")
            values[condition.name]["mean_per_class"] = float(recall)
            columns = {"target": targets, "prediction": predicted, "correct": targets == predicted}
            parts.append((condition.name, sample_ids, columns))
        return Evaluation(
            primary=PRIMARY_METRIC,
            values=values,
            predictions=prediction_table("sample_id", parts),
            tied={condition.name: int(tied[mask].sum()) for mask, condition in first_conditions(self.conditions).items()},
            num_samples=len(targets),
        )


def classify(
    model: ClipModel,
    data: ImageData,
    templates: Sequence[str],
    conditions: Sequence[Condition],
    engine: Engine,
    compute: Compute,
) -> Evaluation:
    """Evaluate all conditions on `data`, whose source names the classes, in one pass."""
    with compute.placed(model):
        classifier = class_embeddings(model, data.source.class_names, templates).cpu()
    task = ZeroShotClassification(model, classifier, conditions, engine)
    compute.run(task, data, "Evaluating conditions")
    evaluation = task.evaluation()
    evaluation.skipped = list(data.skipped)
    if data.skipped:
        evaluation.warnings.append(f"{len(data.skipped)} images could not be decoded and were skipped.")
    return evaluation
