"""Videos and their captions: files or folders of frames, found by name below a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from ccs_exp.data.images.decoding import STANDARD, Decoder, is_image
from ccs_exp.data.videos.decoding import frame_indices, read_frames
from ccs_exp.errors import CcsError
from ccs_exp.files import Tree, look_alikes, some, walk

VIDEO_SUFFIXES = frozenset(
    [".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".3g2", ".mts", ".m2ts", ".ts", ".ogv"]
)


class Video(Protocol):
    """One video. ``frames(n)`` gives n RGB images as `frame_indices` chooses them, or raises `UnreadableImage`."""

    @property
    def video_id(self) -> str: ...

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
    decode: Decoder = STANDARD

    def frames(self, number: int) -> list[Image.Image]:
        indices = frame_indices(len(self.paths), number)
        images = {index: self.decode(self.paths[index], str(self.paths[index])) for index in set(indices)}
        return [images[index] for index in indices]


@dataclass(frozen=True)
class CaptionedVideos:
    """Videos to retrieve and the captions to retrieve them with.

    Attributes:
        captions: all captions, those of a video together.
        of_video: for each caption the index of its video.
        notes: what a reader of results must be told about this collection.
        one_process: nothing is decoded, so that processes to decode in parallel would only cost time.
    """

    videos: tuple[Video, ...]
    captions: tuple[str, ...]
    of_video: tuple[int, ...]
    notes: tuple[str, ...] = ()
    one_process: bool = field(default=False, kw_only=True)

    @property
    def decoder(self) -> str | None:
        """How frames that are kept as images become pictures; None without any."""
        return next((str(video.decode) for video in self.videos if hasattr(video, "decode")), None)

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
            tuple(self.videos[video] for video in kept), captions, of_video, self.notes, one_process=self.one_process
        )


def captioned(
    videos: Mapping[str, Video],
    captions: Mapping[str, Sequence[str]],
    name: str,
    where: str,
    partial: bool,
    there_otherwise: Iterable[str] = (),
    noun: str = "video",
) -> CaptionedVideos:
    """Bring together the videos found and the captions of those that belong to the data set `name`, in the captions' order.

    `there_otherwise` are names that lie there and belong to no caption: one that is missing may be among them, written otherwise.

    Raises `CcsError`, with numbers and names, for videos that `where` does not hold (unless `partial` says that the copy is known to
    be incomplete), for none at all, for videos without captions, for empty captions, and for fewer than two videos.
    """
    if not captions:
        raise CcsError(f"{name}: {where} has no captioned {noun}, and retrieval needs at least two. Give each {noun} a caption.")
    bare = [video for video, texts in captions.items() if not texts or any(not text.strip() for text in texts)]
    if bare:
        raise CcsError(
            f"{name}: {counted(bare, noun)} without a caption, or with an empty one: {some(bare)}. Mend the captions."
        )
    missing = [video for video in captions if video not in videos]
    if missing and not partial:
        raise CcsError(
            f"{name}: {len(missing):,} of {counted(captions, f'captioned {noun}')} missing below {where}: {some(missing)}. Add the "
            f"files, or say that the copy is known to be incomplete with dataset.partial=true.{look_alikes(missing, there_otherwise)}"
        )
    there = [video for video in captions if video in videos]
    if len(there) < 2:
        raise CcsError(
            f"{name}: {where} holds {len(there)} of {counted(captions, f'captioned {noun}')}, and retrieval needs at least two. Wanted "
            f"are {some(list(captions))}, each a video file, a folder of frames, or images <name>_<number>."
        )
    texts = [(" ".join(text.split()), index) for index, video in enumerate(there) for text in captions[video]]
    notes = [f"{name} is incomplete here: {len(there):,} of {len(captions):,} {noun}s."] if missing else []
    videos_of: dict[str, set[int]] = {}
    for text, index in texts:
        videos_of.setdefault(text, set()).add(index)
    shared = [text for text, found in videos_of.items() if len(found) > 1]
    if shared:
        notes.append(f"{counted(shared, 'caption')} of {name} stand for several {noun}s, of which only one counts: {some(shared)}.")
    return CaptionedVideos(
        tuple(videos[video] for video in there),
        tuple(text for text, _ in texts),
        tuple(index for _, index in texts),
        tuple(notes),
    )


def find_videos(tree: Tree, wanted: Iterable[str], key: Callable[[str], str] = lambda name: name) -> dict[str, Video]:
    """The `wanted` videos in a folder, at any depth, by identifier.

    A video is a file ``<id>.<suffix>``, a folder ``<id>`` of images, or images ``<id>_<number>``; a file goes before images. `key` turns
    a name without suffix, and an identifier, into what is compared. Raises `CcsError` where two files have the same identifier.
    """
    identifier = {key(video): video for video in wanted}
    files: dict[str, Path] = {}
    images: dict[str, list[Path]] = {}
    for path in tree.files:
        if is_video(path):
            video = identifier.get(key(path.stem))
            if video is not None and video in files:
                raise CcsError(f"The video {video} is there twice: {files[video]} and {path}. Remove one of them.")
            if video is not None:
                files[video] = path
        elif is_image(path):
            named_after = (path.parent.name, path.stem.rpartition("_")[0])
            video = next((identifier[key(name)] for name in named_after if key(name) in identifier), None)
            if video is not None:
                images.setdefault(video, []).append(path)
    found: dict[str, Video] = {video: FrameImages(video, tuple(sorted(paths, key=_by_numbers))) for video, paths in images.items()}
    found.update((video, VideoFile(video, path)) for video, path in files.items())
    return found


def sorted_images(folder: Path) -> tuple[Path, ...]:
    """The images in a folder, by the numbers in their names."""
    images = (path for path in walk(folder).files if is_image(path) and path.parent == folder)
    return tuple(sorted(images, key=_by_numbers))


def is_video(path: Path) -> bool:
    """Whether a file is a video by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def counted(items: Sized, noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"


def _by_numbers(path: Path) -> tuple:
    """``frame_9`` before ``frame_10``."""
    parts = re.split(r"(\d+)", path.stem)  # text and numbers in turn
    return (path.parent, [int(part) if place % 2 else part for place, part in enumerate(parts)], path.name)
