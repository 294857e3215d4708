"""Images in webdataset tars: each sample is a few members of one name, read in place and in any order."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ccs_exp.data.images.decoding import Decoder, image_suffixes
from ccs_exp.data.images.labelled import Labelled
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines, read_text, some

CLASS_NAMES_FILE, SHARD_COUNT_FILE = "classnames.txt", "nshards.txt"
TEMPLATES_FILE = "zeroshot_classification_templates.txt"
_LABEL_SUFFIX = ".cls"
_MOST_BYTES = 2**28  # of one image as it is stored
_MOST_TEXT = 2**16  # bytes of a label or of captions
_LONGEST_LABEL = 9  # digits; a label is the number of a class
_KEY_AND_SUFFIX = re.compile(r"((?:.*/)?[^./]+)(\.[^/]+)")  # the name is split at its first dot, as the format says


class Member(NamedTuple):
    """Where an image lies in its tar."""

    key: str
    offset: int
    size: int

    def image(self, shard: Path, decode: Decoder) -> Image.Image:
        with shard.open("rb") as file:  # opened each time: a shared handle's position would be shared by processes too
            file.seek(self.offset)
            return decode(io.BytesIO(file.read(self.size)), f"{self.key} in {shard}")


class TarImages(Labelled):
    """The samples of some shards, in the shards' order.

    The shards' headers are read once; an image is then read at its offset, nothing is unpacked and no name of a member is ever used
    as a path. `labels` are the numbers under ``.cls``, of which the caller makes `targets`.

    Raises `CcsError` for files that are no tars, cut short, or hold samples without an image or a label.
    """

    def __init__(self, shards: Sequence[Path], decode: Decoder):
        self._members: list[tuple[Path, Member]] = []
        self.labels: list[int] = []
        for shard in shards:
            images, labels = tar_samples(shard, _LABEL_SUFFIX)
            self._members.extend((shard, member) for member in images.values())
            self.labels.extend(_label(labels[key], key, shard) for key in images)
        super().__init__(self.labels, decode)

    def _read(self, index: int) -> tuple[str, Image.Image]:
        shard, member = self._members[index]
        return f"{shard.stem}/{member.key}", member.image(shard, self._decode)


def tar_samples(shard: Path, suffix: str) -> tuple[dict[str, Member], dict[str, bytes]]:
    """The samples of a shard by key: where the image lies, and the content of the small member `suffix` beside it.

    Raises `CcsError` for a sample that is there twice, or lacks one of them.
    """
    images: dict[str, Member] = {}
    beside: dict[str, bytes] = {}
    for key, found, member, content in _members(shard, suffix):
        is_image = found in image_suffixes()
        if (is_image and key in images) or (found == suffix and key in beside):
            raise CcsError(f"{shard} holds the sample {key} twice. It is no webdataset, or a damaged one.")
        if is_image and member.size > _MOST_BYTES:
            raise CcsError(f"{shard}: {member.name} has {member.size:,} bytes; an image of at most {_MOST_BYTES:,} is read.")
        if is_image:
            images[key] = Member(key, member.offset_data, member.size)
        elif found == suffix:
            beside[key] = content
    noun = "label" if suffix == _LABEL_SUFFIX else "caption"
    lonely = sorted(images.keys() ^ beside.keys())
    if lonely or not images:
        what = f"samples without an image or without a {noun}: {some(lonely)}" if lonely else f"no samples of an image and a {noun}"
        kind = "labelled" if suffix == _LABEL_SUFFIX else "captioned"
        raise CcsError(f"{shard} holds {what}. It is no webdataset of {kind} images, or a damaged one.")
    return images, beside


def by_number(shards: Iterable[Path]) -> list[Path]:
    """Shards ``0.tar, 1.tar, ... 10.tar`` in the order of their numbers."""
    return sorted(shards, key=lambda path: (int(path.stem) if path.stem.isdecimal() else -1, path.name))


def _members(shard: Path, small: str) -> Iterator[tuple[str, str, tarfile.TarInfo, bytes]]:
    """Key, suffix, header, and of those with the suffix `small` the content, of every regular file in the tar."""
    size = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                split = _KEY_AND_SUFFIX.fullmatch(member.name)
                if not split or not member.isreg() or member.issparse():
                    continue
                if member.offset_data + member.size > size:
                    raise CcsError(f"{shard} is cut short: it ends within {member.name}. Fetch it again.")
                key, suffix = split[1], split[2].lower()
                file = tar.extractfile(member) if suffix == small else None
                yield key, suffix, member, file.read(_MOST_TEXT) if file else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CcsError(f"{shard} cannot be read as a tar file ({error}). Fetch it again.") from error


def _label(content: bytes, key: str, shard: Path) -> int:
    text = content.decode("utf-8", "replace").strip()
    if not (text.isdecimal() and text.isascii() and len(text) <= _LONGEST_LABEL):
        raise CcsError(f"{shard}: the label of {key} is {text[:20]!r}, not a number.")
    return int(text)


def class_names_beside(shards: Sequence[Path], partial: bool = False) -> list[str]:
    """The lines of ``classnames.txt``, which says what the labels mean.

    Raises `CcsError` if it is missing, or one of the shards, unless the copy may be partial.
    """
    missing_shards(shards, partial)
    folder = shards[0].parent
    for place in (folder.parent, folder):
        if (place / CLASS_NAMES_FILE).is_file():
            return read_lines(place / CLASS_NAMES_FILE)
    raise CcsError(
        f"{folder.parent} has no {CLASS_NAMES_FILE}, which says what the numbers in the tars mean. It lies at the root of the repository."
    )


def missing_shards(shards: Sequence[Path], partial: bool) -> None:
    """Raise `CcsError` if one of the shards that there should be is missing, unless the copy may be `partial`."""
    folder = shards[0].parent
    count = folder / SHARD_COUNT_FILE
    expected = range(_number_in(count)) if count.is_file() else range(int(shards[-1].stem) + 1)
    missing = [f"{number}.tar" for number in expected if not (folder / f"{number}.tar").is_file()]
    if missing and not partial:
        raise CcsError(
            f"{folder} lacks {some(missing)} of {len(expected)} shards. Fetch them too, or add dataset.partial=true to evaluate the others."
        )


def _number_in(file: Path) -> int:
    text = read_text(file).strip()
    if not text.isdecimal():
        raise CcsError(f"{file} should hold the number of shards, not {text[:20]!r}.")
    return int(text)
