"""Decomposition of image embeddings into the heads' contributions, accumulated as moments while the images stream by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ccs_exp.clip.hooks import observed
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps, read_heads
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.contributions import Contributions, Seen, contributions_of, pack_contributions, unpack_contributions
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.of_probe import kept_of_probe
from ccs_exp.scoring.output_means import OutputSums, pack_sums, unpack_sums
from ccs_exp.store import Stages

_FETCHED_AT_ONCE = 32  # batches


class Decomposed(NamedTuple):
    """What a pass over the probe gave; `seen` is empty where contributions were not asked for, None a batch without an image."""

    moments: HeadMoments
    sums: OutputSums
    seen: list[Seen | None]


class Decomposition(SharedModule):
    """Accumulates the moments of the scored heads' coefficients over a pass; `sums`: the sums of all heads' outputs too; `images`: what
    each image's contributions are made of."""

    def __init__(self, model: ClipModel, sums: bool = False, images: bool = False):
        super().__init__()
        self.model = model
        self.heads = model.scored_heads
        self.layers = range(self.heads[0].layer, self.heads[-1].layer + 1)
        self.moments = HeadMoments.empty(self.heads, model.tower.coefficients_per_head + SHARED_COEFFICIENTS)
        self.sums, self.with_sums = OutputSums(), sums
        self.seen: list[Seen | None] = []
        self._fetched = 0  # so many of them are on the CPU
        self.with_images = images

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            self.seen.append(None)
            return
        if not self.with_sums:
            readout = read_heads(self.model, batch.pixels, self.layers)
            coefficients = readout.coefficients
        else:
            every = range(self.model.layers)
            with observed(self.model, every, self.sums.see):
                readout = read_heads(self.model, batch.pixels, every)
            of_all = readout.coefficients
            self.sums.see_coefficients(of_all[..., :-SHARED_COEFFICIENTS].unflatten(1, (len(every), -1)))
            coefficients = of_all[:, -len(self.heads) :].contiguous()  # as it lies in memory without the others: the same bits
        self.moments += HeadMoments.of(self.heads, coefficients)
        if self.with_images:
            own = coefficients[..., :-SHARED_COEFFICIENTS].float()
            self.seen.append(Seen(batch.sample_ids, batch.digests, own, readout.embedding.float()))
            if len(self.seen) - self._fetched >= _FETCHED_AT_ONCE:
                self._fetch()

    def _fetch(self) -> None:
        """What waits on the device, to the CPU; to do so for each batch would hold up the next."""
        self.seen[self._fetched :] = [batch and batch.cpu() for batch in self.seen[self._fetched :]]
        self._fetched = len(self.seen)

    def share_result(self) -> Decomposed:
        self._fetch()
        return Decomposed(self.moments.cpu(), self.sums.cpu(), self.seen)

    def combine_shares(self, results: Sequence[Decomposed]) -> None:
        moments, sums, seen = zip(*results, strict=True)
        self.moments, self.sums, self.seen = sum(moments[1:], moments[0]), sum(sums[1:], sums[0]), in_order(seen)


def decompose_images(model: ClipModel, probe: ImageData, compute: Compute, sums: bool = False, images: bool = False) -> Decomposed:
    """Moments, and what else is asked for, in one pass."""
    decomposition = Decomposition(model, sums, images)
    compute.run(decomposition, probe, "Decomposing probe images")
    return decomposition.share_result()


def decompose(model: ClipModel, probe: ImageData, compute: Compute) -> HeadMoments:
    """The moments of all scored heads over the probe images, in one pass."""
    return decompose_images(model, probe, compute).moments


def decompose_with_sums(model: ClipModel, probe: ImageData, compute: Compute) -> tuple[HeadMoments, OutputSums]:
    """The same moments, and the sums of the outputs of every head of every layer, in the same pass."""
    return decompose_images(model, probe, compute, sums=True)[:2]


def contributions(
    model: ClipModel,
    probe: ImageData,
    compute: Compute,
    key: Mapping[str, Any] | None,
    stages: Stages | None = None,
    seen: Sequence[Seen | None] | None = None,
) -> Contributions:
    """The contributions that are kept under `key`; else from what a pass has `seen`, or from one of their own."""

    def compute_them() -> Contributions:
        if seen is None:
            note(images=len(probe))
        batches = seen if seen is not None else decompose_images(model, probe, compute, images=True).seen
        heads = model.scored_heads
        maps = contribution_maps(model, range(heads[0].layer, heads[-1].layer + 1), "direct")
        return contributions_of(heads, [batch for batch in batches if batch is not None], maps[:, :-SHARED_COEFFICIENTS])

    with stage("contributions"):
        return kept_of_probe("contributions", key, probe, compute_them, (pack_contributions, unpack_contributions), stages)


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
