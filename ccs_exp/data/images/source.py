"""What every collection of images offers, wherever the images come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from PIL import Image

NO_CLASS = -1  # the target of an image that a task does not have


class Sample(NamedTuple):
    """One labelled image: a stable identifier, the decoded RGB image and the index of its class, or one of each task (`NO_CLASS`: none)."""

    sample_id: str
    image: Image.Image
    target: int | tuple[int, ...]


class Task(NamedTuple):
    """What images are asked: which of some classes, by prompts that hold ``{}`` where the class's name belongs."""

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]


class UnreadableImage(Exception):
    """An image that could not be decoded; the message names the sample and the reason."""


@runtime_checkable
class ImageSource(Protocol):
    """A finite, indexable collection of images; sources derive from this class, which has what most of them leave as it is.

    ``source[i]`` decodes image ``i`` and raises `UnreadableImage` if it cannot. Targets index `class_names`; those of a source with
    several `tasks` instead, each, the class names of its task, in their order.

    Attributes:
        one_process: decoding processes beside the one that asks would only cost time, or cannot be: images are drawn or held in
            memory, or come as one stream.
        notes: what a reader of the results must be told about the collection.
        decoder: how bytes become pictures, for sources that decode: results depend on it.
        tasks: ``{label column: class names}``, of images that have several.
        templates: the collection's own prompts, for a configuration that names none.
    """

    class_names: tuple[str, ...]
    tasks: Mapping[str, tuple[str, ...]] | None = None
    one_process: bool = False
    notes: tuple[str, ...] = ()
    decoder: str | None = None
    templates: tuple[str, ...] = ()

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
