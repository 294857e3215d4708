"""Outputs of the heads on donor images, with nothing silenced: what ``ablation=resample`` puts in the place of a silenced head's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ccs_exp.clip.ablation import Donors, fingerprints
from ccs_exp.clip.hooks import observed
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.data.images.batches import ImageBatch
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.store import Members, kept, pack_tensors, unpack_tensors

Batch = dict[int, Float[Tensor, "batch heads tokens head_dim"]]  # by layer


class _Outputs(SharedModule):
    """Keeps the outputs of the heads of `layers` for every image."""

    def __init__(self, model: ClipModel, layers: range):
        super().__init__()
        self.model, self.layers = model, layers
        self.batches: list[tuple[Int[Tensor, " batch"], Batch] | None] = []  # None: nothing in it could be decoded

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        if not batch.sample_ids:
            return self.batches.append(None)
        found: Batch = {}

        def see(layer: int, z: Tensor) -> None:
            found[layer] = z.cpu()

        with observed(self.model, self.layers, see):
            self.model.tower.run(batch.pixels)
        self.batches.append((fingerprints(batch.pixels).cpu(), found))

    def share_result(self) -> list[tuple[Tensor, Batch] | None]:
        return self.batches

    def combine_shares(self, results: Sequence[list[tuple[Tensor, Batch] | None]]) -> None:
        self.batches = in_order(results)

    def donors(self) -> Donors:
        """Of all images, each of several copies once, in their order."""
        batches = [batch for batch in self.batches if batch is not None]
        prints = torch.cat([of_batch for of_batch, _ in batches]) if batches else torch.empty(0, dtype=torch.long)
        first = {number: place for place, number in reversed(list(enumerate(prints.tolist())))}
        rows = torch.tensor(sorted(first.values()), dtype=torch.long)
        return Donors({layer: torch.cat([z.pop(layer) for _, z in batches])[rows] for layer in self.layers}, prints[rows])


def donors_bytes(donors: int, layers: range, last: int | None, tokens: int, width: int, precision: str) -> int:
    """What the outputs of so many donors take, in memory and in the store: as precise as they were computed, for rounding them would
    move embeddings by more than the engines may differ. Of the `last` layer (None: of none) the class token alone is needed.

    >>> donors_bytes(256, range(8, 12), 11, 50, 768, "32")
    118751232
    """
    number = {"32": 4, "64": 8}.get(precision, 2)
    return donors * sum(1 if layer == last else tokens for layer in layers) * width * number


@stage("donors")
def donors(passed: ProbePass, layers: range) -> Donors:
    """The outputs of the heads of `layers` on all images; in the store each layer is an entry, so that none is large."""
    gathered: list[Donors] = []

    def of_layer(layer: int) -> Donors:
        if not gathered:
            note(images=len(passed.probe))
            outputs = _Outputs(passed.model, layers)
            passed.compute.run(outputs, passed.probe, "Encoding donor images")
            gathered.append(outputs.donors())
        return Donors({layer: gathered[0].outputs[layer]}, gathered[0].fingerprints)

    found = []
    for layer in layers:
        key = None if passed.key is None else {**passed.key, "layer": layer}
        found.append(kept("donors", key, partial(of_layer, layer), pack_layer, partial(unpack_layer, layer)))
    passed.stages.note("donors", computed=bool(gathered))
    return Donors({layer: outputs for part in found for layer, outputs in part.outputs.items()}, found[0].fingerprints)


def pack_layer(found: Donors) -> dict[str, bytes]:
    """Of one layer alone."""
    (outputs,) = found.outputs.values()
    return pack_tensors({"outputs": outputs, "fingerprints": found.fingerprints})


def unpack_layer(layer: int, members: Members) -> Donors:
    """What `pack_layer` made. Raises on anything else."""
    tensors = unpack_tensors(members)
    outputs, fingerprints = tensors["outputs"], tensors["fingerprints"]
    if not outputs.is_floating_point() or fingerprints.dtype != torch.int64 or fingerprints.shape != outputs.shape[:1]:
        shapes = f"{tuple(outputs.shape)} {outputs.dtype} and {tuple(fingerprints.shape)} {fingerprints.dtype}"
        raise ValueError(f"outputs and fingerprints of {shapes}")
    return Donors({layer: outputs}, fingerprints)
