"""What every collection of images offers, wherever the images come from, and how their bytes become pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from PIL import Image, UnidentifiedImageError

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


class ImageSource(Protocol):
    """A finite, indexable collection of images.

    ``source[i]`` decodes image ``i`` and raises `UnreadableImage` if it cannot. Targets index `class_names`; those of a source with
    several tasks, which has `tasks`, ``{task: class names}``, instead, each those of its task, in their order.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Decoder(NamedTuple):
    """Decodes images as RGB.

    `jpeg_quality`: an image that is not JPEG already is compressed so and decoded again, by Pillow at this quality with halved colour
    resolution (4:2:0), as the JPEG copies of CIFAR-10 are that the paper's authors evaluated (quality 75).
    """

    jpeg_quality: int | None = None

    def __call__(self, file: BinaryIO | Path, where: str) -> Image.Image:
        """Raises `UnreadableImage` that says `where`."""
        try:
            with Image.open(file) as image:
                return self.finish(image)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UnreadableImage(f"{where} cannot be decoded as an image ({' '.join(str(error).split())}).") from error

    def finish(self, image: Image.Image) -> Image.Image:
        """RGB, and compressed if that is asked for and `image` does not come from a JPEG file."""
        if self.jpeg_quality is None or image.format in ("JPEG", "MPO"):  # MPO: JPEG with more pictures behind
            return image.convert("RGB")
        compressed = io.BytesIO()
        image.convert("RGB").save(compressed, "JPEG", quality=self.jpeg_quality, subsampling="4:2:0")
        with Image.open(compressed) as copy:
            return copy.convert("RGB")


AS_IT_IS = Decoder()
