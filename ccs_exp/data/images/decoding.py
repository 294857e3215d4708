"""How the bytes of an image become an RGB picture, and which files are images: those that Pillow opens."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import PIL
from PIL import Image, ImageFile, ImageOps

from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.errors import CcsError

MOST_PIXELS = 2**27  # of one image: 400 MB as RGB
Decoding = Literal["as_seen", "standard"]
# what plugins raise at bytes that are no image of their kind
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError, RuntimeError),
    *(EOFError, struct.error, zlib.error, Image.DecompressionBombError),
)
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF's tag for what a grey value means
_RUNS_PROGRAMS, _IS_VIDEO = "EPS", "MPEG"  # Ghostscript; MPEG files are recognised, but not decoded


@functools.cache
def image_formats() -> Mapping[str, frozenset[str]]:
    """The formats that Pillow, as it is installed, decodes by itself, each with its suffixes, as in ``"PNG": {".png", ".apng"}``."""
    Image.preinit()  # the usual formats first, as Pillow itself tries them
    Image.init()
    suffixes = Image.registered_extensions()
    formats = {}
    for name, (opener, _) in Image.OPEN.items():
        stub = isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)
        own = frozenset(suffix for suffix, format_of in suffixes.items() if format_of == name)
        if own and not stub and name not in (_RUNS_PROGRAMS, _IS_VIDEO):
            formats[name] = own
    return formats


@functools.cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, in small letters, of the files that are taken for images."""
    return frozenset().union(*image_formats().values())


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in image_suffixes()


class Decoder(NamedTuple):
    """Decodes images as RGB.

    Grey images of 16 bits, whole numbers or floats are scaled to 8 bits: Pillow's own conversion would clip them.

    Attributes:
        jpeg_quality: an image that is not JPEG already is compressed so and decoded again, by Pillow at this quality with halved
            colour resolution (4:2:0), as the JPEG copies of CIFAR-10 are that the paper's authors evaluated (quality 75).
        as_seen: turned upright as the file says, and on white where it is transparent, as viewers show it. Otherwise as it is stored,
            with the colours that transparency hides, as evaluations of published data sets have it.
    """

    jpeg_quality: int | None = None
    as_seen: bool = False

    def __str__(self) -> str:
        jpeg = f", JPEG {self.jpeg_quality}" if self.jpeg_quality is not None else ""
        return f"Pillow {PIL.__version__}, {'upright and on white' if self.as_seen else 'as stored'}{jpeg}"

    def __call__(self, file: BinaryIO | Path, where: str) -> Image.Image:
        """Raises `UnreadableImage` that says `where`."""
        if isinstance(file, Path) and not file.is_file() and file.exists():  # a pipe has no end
            raise UnreadableImage(f"{where} is no file.")
        try:
            with Image.open(file, formats=tuple(image_formats())) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError(f"{image.width:,} x {image.height:,} pixels; at most {MOST_PIXELS:,} are decoded")
                return self.finish(image)
        except _DAMAGE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnreadableImage(f"{where} cannot be decoded as an image ({reason}).") from error

    def finish(self, image: Image.Image) -> Image.Image:
        """RGB, and compressed if that is asked for and `image` does not come from a JPEG file."""
        is_jpeg = image.format in ("JPEG", "MPO")  # MPO: JPEG with more pictures behind
        if image.format == "JPEG" and image.mode == "RGB":  # most photographs: nothing of the rest concerns them, and nothing is copied
            image.load()
            if self.as_seen:
                ImageOps.exif_transpose(image, in_place=True)
            return image
        negative = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        picture = _eight_bits(ImageOps.exif_transpose(image) if self.as_seen else image, negative)
        picture = _on_white(picture) if self.as_seen else picture
        picture = picture.convert("RGB")
        if self.jpeg_quality is None or is_jpeg:
            return picture
        compressed = io.BytesIO()
        picture.save(compressed, "JPEG", quality=self.jpeg_quality, subsampling="4:2:0")
        with Image.open(compressed) as copy:
            return copy.convert("RGB")


STANDARD = Decoder()


def decoder_of(decoding: Decoding) -> Decoder:
    """The decoder of a folder's images. Raises `CcsError` for an unknown way."""
    if decoding not in ("as_seen", "standard"):
        raise CcsError(f"decoding={decoding} is not known. Choose as_seen (upright, on white) or standard (as stored).")
    return Decoder(as_seen=decoding == "as_seen")


def _eight_bits(image: Image.Image, negative: bool) -> Image.Image:
    """`image`, but grey values of more than 8 bits as 8: 0..1 or 0..65535 become 0..255, other ranges from their least to their most.

    `negative`: 0 stands for white, which Pillow heeds for 8 bits alone.

    Raises ValueError for values that are not finite.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has values that are no finite numbers")
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scaled = np.rint((values - low) * (255 / ((high - low) or 1.0)))
    grey = Image.fromarray((255 - scaled if negative else scaled).astype(np.uint8))
    transparent = image.info.get("transparency")  # the value of pixels that are not to be seen
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
