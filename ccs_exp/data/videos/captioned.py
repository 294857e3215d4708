"""Videos and their captions: files or folders of frames, found by name below a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ccs_exp.data.images.folder import IMAGE_SUFFIXES, read_image
from ccs_exp.data.videos.decoding import frame_indices, read_frames
from ccs_exp.errors import CcsError

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".avi",
        ".mkv",
        ".webm",
        ".mov",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".3g2",
        ".mts",
        ".m2ts",
        ".ts",
        ".ogv",
    ]
)
_NAMED = 5  # that a message names


class Video(Protocol):
    """One video. ``frames(n)`` gives n RGB images as `frame_indices` chooses them, or raises `UnreadableImage`."""

    video_id: str

    def frames(self, number: int) -> list[Image.Image]: ...


@dataclass(frozen=True)
class VideoFile:
    """A file that PyAV decodes."""

    video_id: str
    path: Path

    def frames(self, number: int) -> list[Image.Image]:
        return read_frames(self.path, number)


@dataclass(frozen=True)
class FrameImages:
    """A video kept as one image for each of its frames, in order."""

    video_id: str
    paths: tuple[Path, ...]

    def frames(self, number: int) -> list[Image.Image]:
        indices = frame_indices(len(self.paths), number)
        images = {index: read_image(self.paths[index]) for index in set(indices)}
        return [images[index] for index in indices]


@dataclass(frozen=True)
class CaptionedVideos:
    """Videos to retrieve and the captions to retrieve them with.

    Attributes:
        captions: all captions, those of a video together.
        of_video: for each caption the index of its video.
        warnings: what a reader of results must know of this collection.
        in_memory: nothing is decoded, so that processes to decode in parallel would only cost time.
    """

    videos: tuple[Video, ...]
    captions: tuple[str, ...]
    of_video: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    in_memory: bool = field(default=False, kw_only=True)

    @property
    def caption_ids(self) -> list[str]:
        """``<video>#<number of the caption>``, from 0."""
        seen: Counter[int] = Counter()
        ids = []
        for video in self.of_video:
            ids.append(f"{self.videos[video].video_id}#{seen[video]}")
            seen[video] += 1
        return ids

    def limited(self, limit: int | None) -> CaptionedVideos:
        """At most `limit` videos with their captions, drawn evenly from the whole collection with a fixed seed."""
        if limit is None or limit >= len(self.videos):
            return self
        if limit < 2:
            raise CcsError(f"dataset.limit={limit} leaves nothing to choose from; retrieval needs at least two videos.")
        kept = sorted(np.random.default_rng(0).permutation(len(self.videos))[:limit].tolist())
        place = {video: index for index, video in enumerate(kept)}
        pairs = [(text, place[video]) for text, video in zip(self.captions, self.of_video, strict=True) if video in place]
        captions, of_video = zip(*pairs, strict=True)
        return CaptionedVideos(
            tuple(self.videos[video] for video in kept), captions, of_video, self.warnings, in_memory=self.in_memory
        )


def captioned(
    videos: Mapping[str, Video], captions: Mapping[str, Sequence[str]], name: str, where: str, partial: bool
) -> CaptionedVideos:
    """Bring together the videos found and the captions of those that belong to the data set `name`, in the captions' order.

    Raises `CcsError`, with numbers and names, for videos that `where` does not hold (unless `partial` says that the copy is known to
    be incomplete), for videos without captions, for empty captions, and for fewer than two videos.
    """
    bare = [video for video, texts in captions.items() if not texts or any(not text.strip() for text in texts)]
    if bare:
        raise CcsError(
            f"{name}: {counted(bare, 'video')} without a caption, or with an empty one: {listed(bare)}. Mend the captions."
        )
    missing = [video for video in captions if video not in videos]
    if missing and not partial:
        raise CcsError(
            f"{name}: {len(missing):,} of {counted(captions, 'captioned video')} missing below {where}: {listed(missing)}. Add the "
            "files, or say that the copy is known to be incomplete with dataset.partial=true."
        )
    there = [video for video in captions if video in videos]
    if len(there) < 2:
        raise CcsError(
            f"{name}: {where} holds {len(there)} of {counted(captions, 'captioned video')}, and retrieval needs at least two. Wanted "
            f"are {listed(list(captions))}, each a video file, a folder of frames, or images <name>_<number>."
        )
    texts = [(" ".join(text.split()), index) for index, video in enumerate(there) for text in captions[video]]
    warnings = (f"{name} is incomplete here: {len(there):,} of {len(captions):,} videos.",) if missing else ()
    return CaptionedVideos(
        tuple(videos[video] for video in there),
        tuple(text for text, _ in texts),
        tuple(index for _, index in texts),
        warnings,
    )


def find_videos(folder: Path, wanted: Iterable[str], key: Callable[[str], str] = lambda name: name) -> dict[str, Video]:
    """The `wanted` videos below `folder`, at any depth, by identifier.

    A video is a file ``<id>.<suffix>``, a folder ``<id>`` of images, or images ``<id>_<number>``; a file goes before images. `key` turns
    a name without suffix, and an identifier, into what is compared. Raises `CcsError` where two files have the same identifier.
    """
    identifier = {key(video): video for video in wanted}
    files: dict[str, Path] = {}
    images: dict[str, list[Path]] = {}
    for path in files_below(folder):
        suffix = path.suffix.lower()
        if suffix not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
            continue
        if suffix in VIDEO_SUFFIXES:
            video = identifier.get(key(path.stem))
            if video is not None and video in files:
                raise CcsError(f"The video {video} is there twice: {files[video]} and {path}. Remove one of them.")
            if video is not None:
                files[video] = path
        else:
            named_after = (path.parent.name, path.stem.rpartition("_")[0])
            video = next((identifier[key(name)] for name in named_after if key(name) in identifier), None)
            if video is not None:
                images.setdefault(video, []).append(path)
    found: dict[str, Video] = {
        video: FrameImages(video, tuple(sorted(paths, key=_by_numbers))) for video, paths in images.items()
    }
    return found | {video: VideoFile(video, path) for video, path in files.items()}


def files_below(folder: Path) -> Iterator[Path]:
    """The files below a folder, hidden ones left out, by name; links to folders are followed, each folder once."""
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real not in seen:
            yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
        seen.add(real)


def sorted_images(folder: Path) -> tuple[Path, ...]:
    """The images in a folder, by the numbers in their names."""
    images = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))
    return tuple(sorted(images, key=_by_numbers))


def counted(items: Sized, noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """The first few of `names`, and how many more there are.

    >>> listed(["a", "b"]), listed(list("abcdefgh"))
    ('a, b', 'a, b, c, d, e and 3 more')
    """
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _by_numbers(path: Path) -> tuple:
    """``frame_9`` before ``frame_10``."""
    parts = re.split(r"(\d+)", path.stem)  # text and numbers in turn
    return (path.parent, [int(part) if place % 2 else part for place, part in enumerate(parts)], path.name)
