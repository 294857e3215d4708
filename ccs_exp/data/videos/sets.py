"""The data sets of video retrieval, read from local copies in the layouts in which they are distributed.

``protocol="paper"`` takes the first caption of each video. ``protocol="standard"`` takes every caption, and joins DiDeMo's descriptions
of a video into one paragraph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ccs_exp.data.images.decoding import Decoding, decoder_of
from ccs_exp.data.videos.captioned import (
    CaptionedVideos,
    FrameImages,
    Video,
    VideoFile,
    captioned,
    counted,
    find_videos,
    is_video,
    sorted_images,
)
from ccs_exp.errors import CcsError
from ccs_exp.files import Tree, look_alikes, read_csv, read_entries, read_lines, some, walk

_MSVD_CORPORA = ("MSR Video Description Corpus.csv", "video_corpus.csv")


def msrvtt(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """MSR-VTT, split 1k-A: below `path` the captions ``MSRVTT_JSFUSION_test.csv`` and the videos ``video7020.mp4`` ..."""
    tree = _tree(path)
    captions: dict[str, list[str]] = {}
    for row in read_csv(_one_file(tree, "MSRVTT_JSFUSION_test.csv", layout), ("video_id", "sentence")):
        captions.setdefault(row.text("video_id"), []).append(row["sentence"] or "")
    return _of_set("MSR-VTT 1k-A", tree, captions, protocol, num_videos, partial)


def msvd(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """MSVD's test set: below `path` ``test_list.txt``, ``YouTubeClips/<id>.avi`` and the captions.

    Those are ``AllVideoDescriptions.txt``, or the corpus's CSV file, of which the English ones are taken.
    """
    tree = _tree(path)
    wanted = read_lines(_one_file(tree, "test_list.txt", layout))
    captions: dict[str, list[str]] = {video: [] for video in wanted}
    for video, text in _msvd_descriptions(tree, layout):
        if video in captions:
            captions[video].append(text)
    return _of_set("MSVD", tree, captions, protocol, num_videos, partial)


def didemo(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """DiDeMo's test set: below `path` ``test_data.json``, beside it the list of videos that can still be had, and the videos.

    Copies carry the videos with and without their first suffixes, and in other formats: what counts is the name before the dot.
    """
    tree = _tree(path)
    descriptions = _one_file(tree, "test_data.json", layout)
    captions: dict[str, list[str]] = {}
    for entry in read_entries(descriptions, {"video": str, "description": str}):
        captions.setdefault(_before_dot(entry["video"]), []).append(entry["description"].strip())
    listed_in = next(
        (at for name in ("CE_test_list.txt", "test_list.txt") if (at := descriptions.with_name(name)).is_file()), None
    )
    if listed_in:
        captions = {video: captions.get(video, []) for video in map(_before_dot, read_lines(listed_in))}
    if protocol == "standard":
        captions = {video: [" ".join(texts)] for video, texts in captions.items()}
    return _of_set("DiDeMo", tree, captions, protocol, num_videos, partial, _before_dot)


def captioned_folder(path: str, protocol: str, partial: bool = False, decoding: Decoding = "as_seen") -> CaptionedVideos:
    """Videos of your own: ``captions.csv`` with the columns ``video,caption``, and beside it the files or folders that it names.

    `decoding` is that of frames that are kept as images: `as_seen` or `standard`.
    """
    tree, decode = _tree(path), decoder_of(decoding)
    folder, file = tree.folder, tree.folder / "captions.csv"
    if not file.is_file():
        raise CcsError(
            f"{path} has no captions.csv. Expected is one with the columns video,caption, naming video files, or folders of frames, "
            "beside it."
        )
    captions: dict[str, list[str]] = {}
    found: dict[str, Video] = {}
    for row in read_csv(file, ("video", "caption")):
        name = (row["video"] or "").strip()
        captions.setdefault(name, []).append(row["caption"] or "")
        place = folder / name
        if folder.resolve() not in place.resolve().parents:
            raise CcsError(f"{row.where}: the video {name!r} does not lie below {path}. Name files and folders there.")
        if name in found:
            continue
        if place.is_file():
            found[name] = VideoFile(name, place)
        elif place.is_dir() and (images := sorted_images(place)):
            found[name] = FrameImages(name, images, decode)
    taken = {file} | {video.path for video in found.values() if isinstance(video, VideoFile)}
    taken |= {image for video in found.values() if isinstance(video, FrameImages) for image in video.paths}
    uncaptioned = [video.relative_to(folder).as_posix() for video in tree.files if is_video(video) and video not in taken]
    missing = [name for name in captions if name not in found]
    if uncaptioned and not partial:
        raise CcsError(
            f"{file} has no caption for {counted(uncaptioned, 'video')}: {some(uncaptioned)}. Add captions, or leave such videos out "
            f"with dataset.partial=true.{look_alikes(missing, uncaptioned)}"
        )
    videos = captioned(found, _of_protocol(captions, protocol), "captions.csv", path, partial, uncaptioned)
    return replace(videos, notes=(*videos.notes, *tree.left_out(frozenset(taken), "video or frame with a caption")))


def _of_set(
    name: str,
    tree: Tree,
    captions: Mapping[str, list[str]],
    protocol: str,
    number: int,
    partial: bool,
    key: Callable[[str], str] = lambda name: name,
) -> CaptionedVideos:
    """The videos in `tree` that have captions. Raises `CcsError` unless the captions are of `number` videos, or `partial`."""
    if len(captions) != number and not partial:
        raise CcsError(
            f"{name}: {number:,} videos are expected, but the captions are of {len(captions):,}. Fetch the list again, or say that it is "
            "known to differ with dataset.partial=true."
        )
    others = {key(path.stem) for path in tree.files if is_video(path)} - captions.keys()
    return captioned(find_videos(tree, captions, key), _of_protocol(captions, protocol), name, str(tree.folder), partial, others)


def _of_protocol(captions: Mapping[str, list[str]], protocol: str) -> dict[str, list[str]]:
    return {video: texts[:1] if protocol == "paper" else texts for video, texts in captions.items()}


def _msvd_descriptions(tree: Tree, layout: str) -> list[tuple[str, str]]:
    """Pairs of video and caption."""
    files = {file.name: file for file in tree.files}
    corpus = next((files[name] for name in _MSVD_CORPORA if name in files), None)
    if corpus is not None:
        rows = read_csv(corpus, ("VideoID", "Start", "End", "Language", "Description"))
        return [
            (f"{row['VideoID']}_{row['Start']}_{row['End']}", row["Description"] or "")
            for row in rows
            if row["Language"] == "English"
        ]
    if "AllVideoDescriptions.txt" not in files and "raw-captions.pkl" in files:
        raise CcsError(
            f"{tree.folder} has MSVD's captions as raw-captions.pkl only. Reading a pickle can run any code, so it is not read; add "
            f"AllVideoDescriptions.txt or {_MSVD_CORPORA[0]}, which hold the same captions."
        )
    lines = read_lines(_one_file(tree, "AllVideoDescriptions.txt", layout))
    return [(video, text.strip()) for video, _, text in (line.partition(" ") for line in lines if not line.startswith("#"))]


def _before_dot(name: str) -> str:
    return name.split(".")[0]


def _tree(path: str) -> Tree:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CcsError(f"dataset.path={path} is not a folder. Give the folder that holds the videos and their captions.")
    return walk(folder)


def _one_file(tree: Tree, name: str, layout: str) -> Path:
    found = [path for path in tree.files if path.name == name]
    if not found:
        raise CcsError(f"{tree.folder} holds no {name}, at any depth. Expected is: {layout}")
    if len({path.read_bytes() for path in found}) > 1:
        raise CcsError(
            f"{tree.folder} holds {name} {len(found)} times, and they differ: {some(str(path) for path in found)}. Keep one."
        )
    return found[0]
