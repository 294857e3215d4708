"""The second pass: the images that pages show are seen once more, and nothing else is. Their crops, and where each head looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ccs_exp.atlas.looks import Look
from ccs_exp.atlas.pictures import thumbnail
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import pictured
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps
from ccs_exp.clip.tokens import patch_grid, tokens_along
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.data.images.source import ImageSource, Sample, UnreadableImage
from ccs_exp.errors import CcsError
from ccs_exp.scoring.contributions import Contributions

Heat = Float[np.ndarray, "rows columns"]
Place = tuple[int, int, int]  # image, head, strip
_SMALL = 64  # pixels


@dataclass
class Seen:
    """`thumbnails` by image; `heat` by image, head and strip: what every patch adds along the strip's direction. Images by their place
    among the contributions, heads by theirs among the scored.

    `gone`: images that are not there any more as they were; `without_maps`: why there are none.
    """

    thumbnails: dict[int, str] = field(default_factory=dict)
    heat: dict[Place, Heat] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    small: bool = False  # whether pictures are shown larger than they are
    without_maps: str | None = None


class Again(ImageSource):
    """The images of some places among the contributions, looked up in the probe's source again.

    Where some could not be decoded then, a place lies further on in the source; an image under another name than it had is unreadable.
    """

    class_names = ("image",)

    def __init__(self, source: ImageSource, indices: Sequence[int], kept: Contributions, places: Sequence[int]):
        self.source, self.indices, self.places = source, indices, places
        self.one_process = source.one_process
        self.names = [kept.sample_ids[place] for place in places]
        self.left_out = max(0, len(indices) - len(kept))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> Sample:
        place = self.places[number]
        for index in self.indices[place : place + self.left_out + 1]:
            try:
                sample = self.source[index]
            except UnreadableImage:
                continue
            if sample.sample_id == self.names[number]:
                return Sample(str(place), sample.image, 0)
        raise UnreadableImage(self.names[number])


class _SecondPass(SharedModule):
    def __init__(self, model: ClipModel, looks: Sequence[Look], kept: Contributions, thumbnails: bool):
        super().__init__()
        self.model, self.kept, self.thumbnails, self.seen = model, kept, thumbnails, Seen()
        self.grid: tuple[int, int] | None = None
        try:
            self.grid = patch_grid(model)
        except CcsError as error:
            self.seen.without_maps = str(error)
        self.layers = range(kept.heads[0].layer, kept.heads[-1].layer + 1)
        self.directions = _directions(model, looks, kept)
        self.wanted: dict[int, list[tuple[int, int]]] = {}
        for item in looks:
            for image, strip in item.shown():
                self.wanted.setdefault(image, []).append((kept.heads.index(item.facts.head), strip))

    def test_step(self, batch: ImageBatch, batch_idx: int) -> None:
        digests = [digest.hex() for digest in batch.digests]
        places = [int(name) for name in batch.sample_ids]
        same = [number for number, place in enumerate(places) if digests[number] == self.kept.digests[place]]
        self.seen.gone += [self.kept.sample_ids[place] for number, place in enumerate(places) if number not in same]
        if not same:
            return
        pixels = batch.pixels[same]
        self.seen.small = max(pixels.shape[-2:]) < _SMALL
        for number, crop in zip(same, pixels.cpu() if self.thumbnails else (), strict=False):
            self.seen.thumbnails[places[number]] = thumbnail(pictured(crop, self.model.transform))
        if self.grid is None:
            return
        along = tokens_along(self.model, pixels, self.layers, self.directions)[:, :, 1:].float().cpu().numpy()
        for number, heat in zip(same, along, strict=True):
            for head, strip in self.wanted[places[number]]:
                self.seen.heat[places[number], head, strip] = heat[head, :, strip].reshape(self.grid)

    def share_result(self) -> Seen:
        return self.seen

    def combine_shares(self, results: Sequence[Seen]) -> None:
        self.seen = Seen(
            {place: found for result in results for place, found in result.thumbnails.items()},
            {place: found for result in results for place, found in result.heat.items()},
            [name for result in results for name in result.gone],
            any(result.small for result in results),
            results[0].without_maps,
        )


def see_again(
    model: ClipModel, looks: Sequence[Look], kept: Contributions, probe: ImageData | None, compute: Compute, thumbnails: bool
) -> Seen:
    """What the strips of `looks` need of their images. `probe` None: its images are not there any more."""
    places = sorted({image for item in looks for image, _ in item.shown()})
    if probe is None:
        return Seen(gone=[kept.sample_ids[place] for place in places])
    images = Again(probe.source, probe.indices, kept, places)
    if not images:
        return Seen()
    data = ImageData(images, model.transform, batch_size=probe.batch_size, on_error="skip", num_workers=probe.num_workers)
    module = _SecondPass(model, looks, kept, thumbnails)
    compute.run(module, data, "Looking at images again")
    module.seen.gone += data.skipped
    return module.seen


def _directions(model: ClipModel, looks: Sequence[Look], kept: Contributions) -> Float[Tensor, "heads head_dim strips"]:
    """``M t`` of every strip of every head; zeros where a head has fewer strips."""
    layers = range(kept.heads[0].layer, kept.heads[-1].layer + 1)
    maps = contribution_maps(model, layers, "direct")[:, :-SHARED_COEFFICIENTS]
    found = torch.zeros(*maps.shape[:2], max(len(item.strips) for item in looks), dtype=torch.float64)
    strips: Mapping = {kept.heads.index(item.facts.head): item.strips for item in looks if item.strips}
    for head, of_head in strips.items():
        texts = torch.stack([strip.direction.double() for strip in of_head], dim=-1)
        found[head, :, : len(of_head)] = maps[head] @ texts
    return found
