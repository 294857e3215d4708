"""What every collection of images offers, wherever the images come from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from PIL import Image


class Sample(NamedTuple):
    """One labelled image: a stable identifier, the decoded RGB image and the index of its class."""

    sample_id: str
    image: Image.Image
    target: int


class UnreadableImage(Exception):
    """An image that could not be decoded; the message names the sample and the reason."""


class ImageSource(Protocol):
    """A finite, indexable collection of images.

    ``source[i]`` decodes image ``i`` and raises `UnreadableImage` if it cannot. Targets index `class_names`.

    Attributes:
        one_process: decoding processes beside the one that asks would only cost time, or cannot be: images are drawn or held in
            memory, or come as one stream.
        notes: what a reader of the results must be told about the collection.
        decoder: how bytes become pictures, for sources that decode: results depend on it.
    """

    class_names: tuple[str, ...]
    one_process: bool = False
    notes: tuple[str, ...] = ()
    decoder: str | None = None

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
