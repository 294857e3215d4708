"""Images of people under every pruning condition, in one pass: their attributes classified, and the images ranked for occupations.

An occupation's prompts are a zero-shot class; images are ranked by their similarity to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Task
from ccs_exp.heads import Condition
from ccs_exp.tasks.classification import ZeroShotClassification, class_embeddings, classifiers_of, evaluated
from ccs_exp.tasks.evaluation import Evaluation
from ccs_exp.tasks.group_rankings import Occupations, rankings

_FAULTS = (
    "protocol=paper counts groups as the authors' code does, with its faults: these skews tell nothing of the model. Leave it out for "
    "the measure."
)


class RankedClassification(ZeroShotClassification):
    """Keeps the images' similarities to texts beside; `own`: only that to the text whose number is the target after the tasks'."""

    def __init__(
        self,
        model: ClipModel,
        tasks: Sequence[Task],
        classifiers: Sequence[Float[Tensor, "classes dim"]],
        conditions: Sequence[Condition],
        engine: Engine,
        texts: Float[Tensor, "texts dim"],
        own: bool,
    ):
        super().__init__(model, tasks, classifiers, conditions, engine)
        self.register_buffer("texts", texts, persistent=False)
        self.own = own

    def seen(self, embeddings: Float[Tensor, "masks batch dim"], targets: Int[Tensor, "batch columns"]) -> tuple[Tensor, ...]:
        """The targets, and ``[masks, batch, texts]``."""
        with torch.autocast(embeddings.device.type, enabled=False):  # rounded similarities would tie
            precision = torch.promote_types(embeddings.dtype, torch.float32)
            similarities = embeddings.to(precision) @ self.get_buffer("texts").to(precision).T
        if self.own:
            number = targets[:, len(self.tasks)].expand(len(embeddings), -1)[..., None]
            similarities = similarities.gather(-1, number)
        return targets, similarities.float()

    @property
    def targets(self) -> Int[np.ndarray, "images columns"]:
        return torch.cat([batch.seen[0] for batch in self._batches if batch]).cpu().numpy()

    def similarities(self, number: int) -> Float[np.ndarray, "images texts"]:
        """Under the set of silenced heads of that number."""
        return torch.cat([batch.seen[1][number] for batch in self._batches if batch]).cpu().numpy()


def rank_people(
    model: ClipModel,
    data: ImageData,
    attributes: Sequence[Task],
    occupations: Occupations,
    conditions: Sequence[Condition],
    engine: Engine,
    compute: Compute,
) -> Evaluation:
    """Classify the attributes of all images, and rank the images for every occupation, under all conditions in one pass.

    The rankings stand in `Evaluation.rankings`, by attribute. Raises `CcsError` where a skew is not defined: an occupation without
    images, k above their number, all of one group.
    """
    with compute.placed(model):
        texts = class_embeddings(model, occupations.names, occupations.prompts, progress=compute.progress).cpu()
    classifiers = classifiers_of(model, attributes, compute)
    module = RankedClassification(model, attributes, classifiers, conditions, engine, texts, occupations.own)
    evaluation = evaluated(module, data, compute)
    targets, names = module.targets, {task.name: task.class_names for task in attributes}
    groups = {task.name: targets[:, number] for number, task in enumerate(attributes)}
    of_sets = (module.similarities(number) for number in range(len(module.masks)))
    own = targets[:, len(attributes)] if occupations.own else None
    evaluation.rankings = rankings(of_sets, groups, names, occupations, own)
    evaluation.warnings += [_FAULTS] if occupations.paper else []
    return evaluation
