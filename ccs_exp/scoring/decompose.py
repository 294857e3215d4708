"""Decomposition of image embeddings into the heads' contributions, accumulated as moments while the images stream by."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, read_heads
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.scoring.moments import HeadMoments


class Decomposition(SharedModule):
    """Accumulates the moments of the scored heads' coefficients over a pass."""

    def __init__(self, model: ClipModel):
        super().__init__()
        self.model = model
        self.heads = model.scored_heads
        self.layers = range(self.heads[0].layer, self.heads[-1].layer + 1)
        head_dim = model.blocks[0].attn.head_dim
        self.moments = HeadMoments.empty(self.heads, head_dim + SHARED_COEFFICIENTS)

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if batch.sample_ids:
            readout = read_heads(self.model, batch.pixels, self.layers)
            self.moments += HeadMoments.of(self.heads, readout.coefficients)

    def share_result(self) -> HeadMoments:
        return self.moments.cpu()

    def combine_shares(self, results: Sequence[HeadMoments]) -> None:
        self.moments = sum(results[1:], results[0])


def decompose(model: ClipModel, probe: ImageData, compute: Compute) -> HeadMoments:
    """The moments of all scored heads over the probe images, in one pass."""
    decomposition = Decomposition(model)
    compute.run(decomposition, probe, "Decomposing probe images")
    return decomposition.moments.cpu()
