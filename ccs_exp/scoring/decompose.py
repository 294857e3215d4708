"""Decomposition of image embeddings into the heads' contributions, accumulated as moments while the images stream by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ccs_exp.clip.hooks import observed
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, read_heads
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.of_probe import kept_of_probe
from ccs_exp.scoring.output_means import OutputSums, pack_sums, unpack_sums
from ccs_exp.store import Stages


class Decomposition(SharedModule):
    """Accumulates the moments of the scored heads' coefficients over a pass; `sums`: the sums of all heads' outputs too."""

    def __init__(self, model: ClipModel, sums: bool = False):
        super().__init__()
        self.model = model
        self.heads = model.scored_heads
        self.layers = range(self.heads[0].layer, self.heads[-1].layer + 1)
        self.moments = HeadMoments.empty(self.heads, model.tower.coefficients_per_head + SHARED_COEFFICIENTS)
        self.sums, self.with_sums = OutputSums(), sums

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            return
        if not self.with_sums:
            coefficients = read_heads(self.model, batch.pixels, self.layers).coefficients
        else:
            every = range(self.model.layers)
            with observed(self.model, every, self.sums.see):
                of_all = read_heads(self.model, batch.pixels, every).coefficients
            self.sums.see_coefficients(of_all[..., :-SHARED_COEFFICIENTS].unflatten(1, (len(every), -1)))
            coefficients = of_all[:, -len(self.heads) :].contiguous()  # as it lies in memory without the others: the same bits
        self.moments += HeadMoments.of(self.heads, coefficients)

    def share_result(self) -> tuple[HeadMoments, OutputSums]:
        return self.moments.cpu(), self.sums.cpu()

    def combine_shares(self, results: Sequence[tuple[HeadMoments, OutputSums]]) -> None:
        moments, sums = zip(*results, strict=True)
        self.moments, self.sums = sum(moments[1:], moments[0]), sum(sums[1:], sums[0])


def decompose(model: ClipModel, probe: ImageData, compute: Compute) -> HeadMoments:
    """The moments of all scored heads over the probe images, in one pass."""
    decomposition = Decomposition(model)
    compute.run(decomposition, probe, "Decomposing probe images")
    return decomposition.moments.cpu()


def decompose_with_sums(model: ClipModel, probe: ImageData, compute: Compute) -> tuple[HeadMoments, OutputSums]:
    """The same moments, and the sums of the outputs of every head of every layer, in the same pass."""
    decomposition = Decomposition(model, sums=True)
    compute.run(decomposition, probe, "Decomposing probe images")
    return decomposition.share_result()


def output_sums(
    model: ClipModel,
    probe: ImageData,
    compute: Compute,
    key: Mapping[str, Any] | None,
    stages: Stages | None = None,
    gather: Callable[[], OutputSums] | None = None,
) -> OutputSums:
    """The sums that are kept under `key`; else those that `gather` has, or of a pass of their own over the probe."""

    def own_pass() -> OutputSums:
        note(images=len(probe))
        return decompose_with_sums(model, probe, compute)[1]

    with stage("output_sums"):
        return kept_of_probe("output_sums", key, probe, gather or own_pass, (pack_sums, unpack_sums), stages)
