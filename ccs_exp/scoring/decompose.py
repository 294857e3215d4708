"""Decomposition of image embeddings into the heads' contributions, accumulated as moments while the images stream by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from ccs_exp.clip.hooks import observed
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps, read_heads
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.contributions import Contributions, Seen, contributions_of, pack_contributions, unpack_contributions
from ccs_exp.scoring.moments import HeadMoments, pack_moments, unpack_moments
from ccs_exp.scoring.output_means import OutputSums, pack_sums, unpack_sums
from ccs_exp.store import Members, Stages, json_as, kept

Value = TypeVar("Value")

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


@dataclass(frozen=True)
class ProbePass:
    """What passes over the probe give, each part kept by itself under `key` (None: nowhere): what is not there takes a pass of its own.

    That for the moments gathers with them the `sums` of all outputs, and what each of the `images` is given, where these are asked for.
    """

    model: ClipModel
    probe: ImageData
    compute: Compute
    key: Mapping[str, Any] | None = None
    stages: Stages = field(default_factory=Stages)
    sums: bool = False
    images: bool = False

    def moments(self) -> HeadMoments:
        """Of the scored heads."""

        @stage("decompose")
        def of_pass() -> HeadMoments:
            found = self._pass(sums=self.sums, images=self.images)
            if self.sums:
                self.output_sums(found.sums)
            if self.images:
                self.contributions(found.seen)
            return found.moments

        return self.kept("moments", self.key, of_pass, (pack_moments, unpack_moments), self.stages)

    @stage("output_sums")
    def output_sums(self, found: OutputSums | None = None) -> OutputSums:
        """Of every head of every layer; `found`: those that a pass has gathered."""
        form = pack_sums, unpack_sums
        return self.kept("output_sums", self.key, lambda: found or self._pass(sums=True).sums, form, self._noted("output_sums"))

    @stage("contributions")
    def contributions(self, seen: Sequence[Seen | None] | None = None) -> Contributions:
        """Of the scored heads to every image; `seen`: what a pass has gathered of them."""

        def of_images() -> Contributions:
            batches = self._pass(images=True).seen if seen is None else seen
            heads = self.model.scored_heads
            maps = contribution_maps(self.model, range(heads[0].layer, heads[-1].layer + 1), "direct")
            return contributions_of(heads, [batch for batch in batches if batch is not None], maps[:, :-SHARED_COEFFICIENTS])

        form = pack_contributions, unpack_contributions
        return self.kept("contributions", self.key, of_images, form, self._noted("contributions"))

    def kept(
        self,
        kind: str,
        key: Mapping[str, Any] | None,
        compute: Callable[[], Value],
        form: tuple[Callable[[Value], Mapping[str, bytes]], Callable[[Members], Value]],
        stages: Stages | None,
    ) -> Value:
        """What comes of the probe's images, kept beside which of them could not be decoded. `form`: how a value is packed, and unpacked."""
        pack, unpack = form

        def packed(value: Value) -> dict[str, bytes]:
            return {**pack(value), "skipped": json.dumps(self.probe.skipped).encode()}

        def unpacked(members: Members) -> Value:
            value, self.probe.skipped = unpack(members), unpack_skipped(members)  # the second only where both can be read
            return value

        return kept(kind, key, compute, packed, unpacked, stages)

    def _noted(self, kind: str) -> Stages | None:
        return None if kind in self.stages.computed else self.stages  # the job's own moments may just have brought it

    def _pass(self, sums: bool = False, images: bool = False) -> Decomposed:
        note(images=len(self.probe))
        return decompose_images(self.model, self.probe, self.compute, sums, images)


def unpack_skipped(members: Members) -> list[str]:
    """The probe images that could not be decoded."""
    skipped: list[str] = json_as(list[str], members["skipped"])
    return skipped
