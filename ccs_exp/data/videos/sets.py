"""The data sets of video retrieval, read from local copies in the layouts in which they are distributed.

``protocol="paper"`` takes the first caption of each video. ``protocol="standard"`` takes every caption, and joins DiDeMo's descriptions
of a video into one paragraph.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ccs_exp.data.videos.captioned import (
    VIDEO_SUFFIXES,
    CaptionedVideos,
    FrameImages,
    VideoFile,
    captioned,
    counted,
    files_below,
    find_videos,
    listed,
    sorted_images,
)
from ccs_exp.errors import CcsError

_MSVD_CORPORA = ("MSR Video Description Corpus.csv", "video_corpus.csv")


def msrvtt(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """MSR-VTT, split 1k-A: below `path` the captions ``MSRVTT_JSFUSION_test.csv`` and the videos ``video7020.mp4`` ..."""
    folder = _folder(path)
    captions: dict[str, list[str]] = {}
    for row in _csv_rows(_one_file(folder, "MSRVTT_JSFUSION_test.csv", layout), ("video_id", "sentence")):
        captions.setdefault(row["video_id"], []).append(row["sentence"])
    _check_number("MSR-VTT 1k-A", captions, num_videos, partial)
    return captioned(find_videos(folder, captions), _of_protocol(captions, protocol), "MSR-VTT 1k-A", path, partial)


def msvd(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """MSVD's test set: below `path` ``test_list.txt``, ``YouTubeClips/<id>.avi`` and the captions.

    Those are ``AllVideoDescriptions.txt``, or the corpus's CSV file, of which the English ones are taken.
    """
    folder = _folder(path)
    wanted = _lines(_one_file(folder, "test_list.txt", layout))
    captions: dict[str, list[str]] = {video: [] for video in wanted}
    for video, text in _msvd_descriptions(folder, layout):
        if video in captions:
            captions[video].append(text)
    _check_number("MSVD", captions, num_videos, partial)
    return captioned(find_videos(folder, captions), _of_protocol(captions, protocol), "MSVD", path, partial)


def didemo(path: str, protocol: str, num_videos: int, layout: str, partial: bool = False) -> CaptionedVideos:
    """DiDeMo's test set: below `path` ``test_data.json``, beside it the list of videos that can still be had, and the videos.

    Copies carry the videos with and without their first suffixes, and in other formats: what counts is the name before the dot.
    """
    folder = _folder(path)
    descriptions = _one_file(folder, "test_data.json", layout)
    captions: dict[str, list[str]] = {}
    try:
        for entry in json.loads(descriptions.read_text(encoding="utf-8")):
            captions.setdefault(_before_dot(entry["video"]), []).append(entry["description"].strip())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CcsError(f"{descriptions} is no list of DiDeMo's descriptions ({type(error).__name__}: {error}).") from error
    listed_in = next(
        (at for name in ("CE_test_list.txt", "test_list.txt") if (at := descriptions.with_name(name)).is_file()), None
    )
    if listed_in:
        captions = {video: captions.get(video, []) for video in map(_before_dot, _lines(listed_in))}
    _check_number("DiDeMo", captions, num_videos, partial)
    if protocol == "standard":
        captions = {video: [" ".join(texts)] for video, texts in captions.items()}
    return captioned(find_videos(folder, captions, _before_dot), _of_protocol(captions, protocol), "DiDeMo", path, partial)


def captioned_folder(path: str, protocol: str, partial: bool = False) -> CaptionedVideos:
    """Videos of your own: ``captions.csv`` with the columns ``video,caption``, and beside it the files or folders that it names."""
    folder = _folder(path)
    file = folder / "captions.csv"
    if not file.is_file():
        raise CcsError(
            f"{path} has no captions.csv. Expected is one with the columns video,caption, naming video files, or folders of frames, "
            "beside it."
        )
    captions: dict[str, list[str]] = {}
    for row in _csv_rows(file, ("video", "caption")):
        captions.setdefault(row["video"].strip(), []).append(row["caption"])
    found: dict[str, VideoFile | FrameImages] = {}
    for name in captions:
        place = folder / name
        if folder.resolve() not in place.resolve().parents:
            raise CcsError(f"{file}: the video {name!r} does not lie below {path}. Name files and folders there.")
        if place.is_file():
            found[name] = VideoFile(name, place)
        elif place.is_dir():
            images = sorted_images(place)
            found |= {name: FrameImages(name, images)} if images else {}
    _refuse_uncaptioned(folder, file, found, partial)
    return captioned(found, _of_protocol(captions, protocol), "captions.csv", path, partial)


def _refuse_uncaptioned(folder: Path, file: Path, found: Mapping[str, VideoFile | FrameImages], partial: bool) -> None:
    captioned_files = {video.path for video in found.values() if isinstance(video, VideoFile)}
    files = {path for path in files_below(folder) if path.suffix.lower() in VIDEO_SUFFIXES}
    names = [path.relative_to(folder).as_posix() for path in sorted(files - captioned_files)]
    if names and not partial:
        raise CcsError(
            f"{file} has no caption for {counted(names, 'video')}: {listed(names)}. Add captions, or leave such videos out with "
            "dataset.partial=true."
        )


def _of_protocol(captions: Mapping[str, list[str]], protocol: str) -> dict[str, list[str]]:
    return {video: texts[:1] if protocol == "paper" else texts for video, texts in captions.items()}


def _check_number(name: str, captions: Mapping[str, list[str]], number: int, partial: bool) -> None:
    if len(captions) != number and not partial:
        raise CcsError(
            f"{name}: {number:,} videos are expected, but the captions are of {len(captions):,}. Fetch the list again, or say that it is "
            "known to differ with dataset.partial=true."
        )


def _msvd_descriptions(folder: Path, layout: str) -> list[tuple[str, str]]:
    """Pairs of video and caption."""
    files = {file.name: file for file in files_below(folder)}
    corpus = next((files[name] for name in _MSVD_CORPORA if name in files), None)
    if corpus is not None:
        rows = _csv_rows(corpus, ("VideoID", "Start", "End", "Language", "Description"))
        return [
            (f"{row['VideoID']}_{row['Start']}_{row['End']}", row["Description"]) for row in rows if row["Language"] == "English"
        ]
    if "AllVideoDescriptions.txt" not in files and "raw-captions.pkl" in files:
        raise CcsError(
            f"{folder} has MSVD's captions as raw-captions.pkl only. Reading a pickle can run any code, so it is not read; add "
            f"AllVideoDescriptions.txt or {_MSVD_CORPORA[0]}, which hold the same captions."
        )
    lines = _lines(_one_file(folder, "AllVideoDescriptions.txt", layout))
    return [(video, text.strip()) for video, _, text in (line.partition(" ") for line in lines if not line.startswith("#"))]


def _before_dot(name: str) -> str:
    return name.split(".")[0]


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CcsError(f"dataset.path={path} is not a folder. Give the folder that holds the videos and their captions.")
    return folder


def _one_file(folder: Path, name: str, layout: str) -> Path:
    found = [path for path in files_below(folder) if path.name == name]
    if not found:
        raise CcsError(f"{folder} holds no {name}, at any depth. Expected is: {layout}")
    if len({path.read_bytes() for path in found}) > 1:
        raise CcsError(
            f"{folder} holds {name} {len(found)} times, and they differ: {listed([str(path) for path in found])}. Keep one."
        )
    return found[0]


def _lines(file: Path) -> list[str]:
    return _read(file, lambda text: [line.strip() for line in text.read().splitlines() if line.strip()])


def _csv_rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    def rows(text) -> list[dict[str, str]]:
        reader = csv.DictReader(text)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise CcsError(f"{file} lacks the columns {', '.join(missing)}. Needed are: {', '.join(columns)}.")
        return [{column: row[column] or "" for column in columns} for row in reader]

    return _read(file, rows)


def _read(file: Path, reader: Callable):
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            return reader(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CcsError(f"{file} cannot be read as text in UTF-8: {error}.") from error
