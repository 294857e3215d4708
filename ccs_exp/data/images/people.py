"""Images of people, for every image the group it is in by each of several attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.source import ImageSource, Sample


class Images(Protocol):
    """What gives samples by their place."""

    def __getitem__(self, index: int) -> Sample: ...


class People(ImageSource):
    """Images and the group of each in every attribute; targets end with the number of its own occupation, if it has one.

    Attributes:
        occupations: what images are ranked for.
        own: every image shows one of them.
    """

    class_names = ()

    def __init__(
        self,
        images: Images,
        rows: Sequence[int],
        tasks: Mapping[str, tuple[str, ...]],
        targets: Sequence[tuple[int, ...]],
        occupations: tuple[str, ...],
        own: bool,
        notes: tuple[str, ...],
    ):
        self._images, self._rows, self._targets = images, rows, targets
        self.tasks, self.occupations, self.own, self.notes, self.decoder = tasks, occupations, own, notes, str(STANDARD)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        return self._images[self._rows[index]]._replace(target=self._targets[index])
