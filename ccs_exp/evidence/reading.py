"""One pass over a data set with nothing silenced: what every scored head says of each image, in all the ways that measures ask for.

Contributions are never kept: sums by value of every factor, projections on texts, and the answers of heads that were replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.data.images.source import Task
from ccs_exp.errors import CcsError
from ccs_exp.evidence.detection import along_texts, text_directions
from ccs_exp.evidence.hashing import hashed_parts
from ccs_exp.evidence.represents import FactorSums
from ccs_exp.evidence.sufficiency import Replacement
from ccs_exp.heads import Head
from ccs_exp.scoring.head_space import HeadSpace
from ccs_exp.tasks.classification import classifiers_of
from ccs_exp.tasks.margins import margins

_HASHES = 2**32


@dataclass(frozen=True)
class Wanted:
    """What a reading keeps beside the sums.

    Attributes:
        texts: of each head, ``[heads, texts, dim]``: its label and descriptions, or whatever its contributions are compared with.
        factors: for a head's place the place of the task whose class embeddings its contributions are compared with.
        replacements: by name, what stands in for all scored heads together, and for each alone.
    """

    texts: Float[Tensor, "heads texts dim"]
    factors: Mapping[int, int] = field(default_factory=dict)
    replacements: Mapping[str, Replacement] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What a pass gave, images in their order.

    Attributes:
        sums: of each task.
        targets: classes of each task, negative where an image has none.
        along: ``c . t`` of every head and text of its own.
        of_factors: for the heads of `Wanted.factors` ``c . t`` of every class of the task.
        margins: by the name of a replacement and the task, in logits: of all heads replaced, then of each alone; ``original``: of none.
    """

    heads: tuple[Head, ...]
    tasks: tuple[Task, ...]
    sample_ids: list[str]
    sums: list[FactorSums]
    targets: Int[np.ndarray, "images tasks"]
    along: Float[np.ndarray, "images heads texts"]
    of_factors: Mapping[int, Float[np.ndarray, "images classes"]]
    margins: Mapping[tuple[str, str], Float[np.ndarray, "sets images"]]


class _Read(NamedTuple):
    """One batch."""

    sample_ids: list[str]
    targets: Tensor
    along: Tensor
    of_factors: dict[int, Tensor]
    margins: dict[tuple[str, str], Tensor]


class HeadReading(SharedModule):
    """Reads the scored heads of every image of a pass; `read` runs it."""

    def __init__(self, model: ClipModel, tasks: Sequence[Task], classifiers: Sequence[Tensor], wanted: Wanted):
        super().__init__()
        self.model, self.tasks, self.wanted, self.heads = model, tuple(tasks), wanted, model.scored_heads
        self.layers = range(self.heads[0].layer, self.heads[-1].layer + 1)
        self.scale = model.logit_scale
        self.classifiers = [classifier.double() for classifier in classifiers]
        self.maps = contribution_maps(model, self.layers, "direct")
        self.space = HeadSpace.of(self.maps)
        self.own = text_directions(self.maps, wanted.texts)
        self.of_factors = {
            head: text_directions(self.maps[head][None], self.classifiers[task]) for head, task in wanted.factors.items()
        }
        dimensions = self.space.basis.shape[-1]
        self.sums = [FactorSums.empty(len(task.class_names), len(self.heads), dimensions) for task in tasks]
        self._batches: list[_Read | None] = []

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            self._batches.append(None)
            return
        found = read_heads(self.model, batch.pixels, self.layers)
        coefficients, embedding = found.coefficients.cpu(), found.embedding.cpu().double()
        targets = batch.targets.cpu().reshape(len(batch.sample_ids), -1)[:, : len(self.tasks)]
        coordinates = self.space.of_coefficients(coefficients)
        hashes = torch.from_numpy(hashed_parts(batch.sample_ids, _HASHES))
        for number, sums in enumerate(self.sums):
            sums.add(coordinates, targets[:, number], hashes)
        of_factors = {
            head: along_texts(coefficients[:, head, None], directions)[:, 0].float() for head, directions in self.of_factors.items()
        }
        own = along_texts(coefficients, self.own).float()
        self._batches.append(_Read(batch.sample_ids, targets, own, of_factors, self._margins(coefficients, embedding, targets)))

    def _margins(self, coefficients: Tensor, embedding: Tensor, targets: Tensor) -> dict[tuple[str, str], Tensor]:
        """Embeddings change by what the replaced heads change, and are not renormalised."""
        if not self.wanted.replacements:
            return {}
        embeddings = {"original": embedding[None]}
        for name, replacement in self.wanted.replacements.items():
            change = replacement.change(coefficients, self.maps).transpose(0, 1)  # [heads, batch, dim]
            embeddings[name] = embedding + torch.cat([change.sum(0, keepdim=True), change])
        return {
            (name, task.name): margins(values @ classifier.T, targets[:, number].clamp(min=0), self.scale).float()
            for name, values in embeddings.items()
            for number, (task, classifier) in enumerate(zip(self.tasks, self.classifiers, strict=True))
        }

    def share_result(self) -> tuple[list[_Read | None], list[FactorSums]]:
        return self._batches, self.sums

    def combine_shares(self, results: Sequence[tuple[list[_Read | None], list[FactorSums]]]) -> None:
        self._batches = in_order([batches for batches, _ in results])
        self.sums = [sum(of_task[1:], of_task[0]) for of_task in zip(*(sums for _, sums in results), strict=True)]

    def reading(self) -> Reading:
        """Raises `CcsError` if no image could be read."""
        batches = [batch for batch in self._batches if batch is not None]
        if not batches:
            raise CcsError("No image of the data set could be read: every one was skipped. Check the images.")
        first = batches[0]
        return Reading(
            self.heads,
            self.tasks,
            [sample for batch in batches for sample in batch.sample_ids],
            self.sums,
            torch.cat([batch.targets for batch in batches]).numpy(),
            torch.cat([batch.along for batch in batches]).numpy(),
            {head: torch.cat([batch.of_factors[head] for batch in batches]).numpy() for head in first.of_factors},
            {key: torch.cat([batch.margins[key] for batch in batches], dim=-1).numpy() for key in first.margins},
        )


def read(model: ClipModel, data: ImageData, tasks: Sequence[Task], wanted: Wanted, compute: Compute) -> Reading:
    """Read the scored heads over `data`, in one pass."""
    classifiers = [F.normalize(found, dim=-1) for found in classifiers_of(model, tasks, compute)]
    module = HeadReading(model, tasks, classifiers, wanted)
    compute.run(module, data, "Reading heads")
    return module.reading()
