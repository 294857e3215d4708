"""Some of a collection's images, as a collection."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.data.images.source import ImageSource, Sample


class Part(ImageSource):
    """The images of `whole` at `places`, in their order."""

    def __init__(self, whole: ImageSource, places: Sequence[int]) -> None:
        self._whole, self._places = whole, tuple(places)
        self.class_names, self.tasks, self.one_process = whole.class_names, whole.tasks, whole.one_process
        self.notes, self.decoder = whole.notes, whole.decoder

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[self._places[index]]
