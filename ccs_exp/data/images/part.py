"""Some of a collection's images, as a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccs_exp.data.images.source import ImageSource, Sample


class Part(ImageSource):
    """The images of `whole` at `places`, in their order, with `targets` and `class_names` of their own where these are given."""

    def __init__(
        self,
        whole: ImageSource,
        places: Sequence[int],
        targets: Sequence[int | tuple[int, ...]] | None = None,
        class_names: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._whole, self._places, self._targets = whole, places, targets
        self.class_names = whole.class_names if class_names is None else tuple(class_names)
        self.tasks, self.one_process, self.decoder, self.notes = whole.tasks, whole.one_process, whole.decoder, (*notes, *whole.notes)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        sample = self._whole[self._places[index]]
        return sample if self._targets is None else sample._replace(target=self._targets[index])


class People(Part):
    """Images of people and the group of each in every attribute; targets end with the number of its own occupation, if it has one.

    Attributes:
        occupations: what images are ranked for.
        own: every image shows one of them.
    """

    def __init__(
        self,
        images: ImageSource,
        rows: Sequence[int],
        tasks: Mapping[str, tuple[str, ...]],
        targets: Sequence[tuple[int, ...]],
        occupations: tuple[str, ...],
        own: bool,
        notes: tuple[str, ...],
    ):
        super().__init__(images, rows, targets, (), notes)
        self.tasks, self.occupations, self.own = tasks, occupations, own
