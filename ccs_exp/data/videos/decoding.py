"""Single frames of video files, by exact index.

Frames are counted in the order in which they are shown. The packets of a file are read first, without decoding: they tell how many
frames there are, when each is shown and where decoding can start. Then only what the chosen frames need is decoded: from the last
key frame before them, without the frames that no other refers to. Where the packets leave any doubt (a codec in which a packet need
not be a frame, times missing or given twice, a start without a key frame, interlaced pictures, damage, a frame that does not come),
everything is decoded and counted instead.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from PIL import Image

from ccs_exp.data.images.decoding import MOST_PIXELS
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.errors import CcsError

MOST_FRAMES = 10_000_000  # of one video: four days; each takes some memory before any is decoded
_PACKET_IS_FRAME = frozenset({"h264", "hevc", "mjpeg"})
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def frame_indices(count: int, number: int) -> list[int]:
    """Which `number` of `count` frames stand for a video: the middles ``(a + b - 1) // 2`` of equal integer intervals ``[a, b)``.

    A video with fewer frames gives each of them, and the last one again until there are `number`.

    >>> frame_indices(300, 4), frame_indices(2, 4)
    ([37, 112, 187, 262], [0, 1, 1, 1])
    """
    if count < 1 or number < 1:
        raise ValueError(f"{number} of {count} frames cannot be chosen")
    distinct = min(count, number)
    ends = [interval * count // distinct for interval in range(distinct + 1)]
    middles = [(a + b - 1) // 2 for a, b in itertools.pairwise(ends)]
    return middles + [middles[-1]] * (number - distinct)


def read_frames(path: Path, number: int) -> list[Image.Image]:
    """The frames at `frame_indices`, RGB, turned upright as the file says.

    Raises `UnreadableImage`, naming the file and the reason, if it holds no video, is cut short, or damaged before the last frame chosen.
    """
    av = _pyav()
    try:
        packets = _read_packets(path)
        if packets.number and packets.plain:
            indices = frame_indices(packets.number, number)
            chosen = _decode_chosen(path, packets, sorted({packets.times[index] for index in indices}))
            if chosen is not None:
                return [chosen[packets.times[index]] for index in indices]
        return _decode_all(path, number)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UnreadableImage(f"{path} cannot be decoded as a video ({reason or type(error).__name__}).") from error


def decoder() -> str:
    """Which decoder reads video files: part of what a result depends on."""
    av = _pyav()
    return f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise CcsError(
            "Video files are decoded by PyAV, which is not installed. Type: pip install 'ccs_exp[video]'. "
            "Folders of frames need no decoder."
        ) from error
    return av


class _Packets(NamedTuple):
    """`times` at which the frames are shown, ascending; `keys`: times of the frames at which decoding can start; `plain`: no doubt."""

    times: list[int]
    keys: list[int]
    plain: bool

    @property
    def number(self) -> int:
        return len(self.times)


def _open(path: Path) -> Any:
    # by FFmpeg's file protocol alone, so that no file's name is taken for an address and no playlist opens one
    return _pyav().open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})


def _stream(container: Any) -> Any:
    stream = container.streams.best("video")  # FFmpeg's own choice among several: the largest, never the picture of a cover
    if stream is None:
        raise ValueError("the file has no video stream")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise ValueError(f"frames of {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are decoded")
    stream.codec_context.thread_count = 1  # videos are decoded side by side; and frames are skipped packet by packet
    return stream


def _read_packets(path: Path) -> _Packets:
    """Raises ValueError where the file ends before the video does."""
    times: list[int | None] = []
    keys: list[int] = []
    number, end, corrupt = 0, None, False
    with _open(path) as container:
        stream = _stream(container)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            number, corrupt = number + 1, corrupt or packet.is_corrupt
            if number > MOST_FRAMES:
                raise ValueError(f"it has more than {MOST_FRAMES:,} frames")
            if packet.pts is not None:
                end = max(end or 0, packet.pts + (packet.duration or 0))
            if packet.is_discard:  # outside what the file's edit list shows
                continue
            times.append(packet.pts)
            if packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
        _check_complete(container, stream, number, float(end * stream.time_base) if end else 0.0)
        known = stream.codec_context.name in _PACKET_IS_FRAME
    shown = sorted(time for time in times if time is not None)
    in_order = bool(shown) and len(set(shown)) == len(times) and shown[0] == times[0] and times[0] in keys
    plain = known and in_order and not corrupt
    return _Packets(shown, sorted(keys), plain)


def _check_complete(container: Any, stream: Any, number: int, seconds: float) -> None:
    """Compare the packets that are there with what the header promises: a number of frames, else a duration.

    Two per cent may be missing, for headers are estimates in some formats. MPEG streams promise nothing, so that one that was cut
    short is a shorter video.
    """
    if not number:
        raise ValueError("it holds no frames")
    rate = float(stream.average_rate or 0)
    there: float
    if stream.frames:
        there, promised, slack, what = max(number, round(seconds * rate)), stream.frames, 2.0, "frames"
    else:
        there, promised, slack = seconds, _promised_seconds(container, stream), 2.0 / rate if rate else 0.1
        what = "seconds"
    if there < 0.98 * promised - slack:
        raise ValueError(f"the file is cut short: it holds {there:.4g} of {promised:.4g} {what}")


def _promised_seconds(container: Any, stream: Any) -> float:
    clock = stream.metadata.get("DURATION", "")  # Matroska: hours:minutes:seconds
    try:
        hours, minutes, seconds = clock.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        alone = len(container.streams) == 1 and container.format.name.startswith("matroska")
        return (container.duration or 0) / 1_000_000 if alone else 0.0


def _decode_chosen(path: Path, packets: _Packets, wanted: list[int]) -> dict[int, Image.Image] | None:
    """The frames shown at the times `wanted`, by time; None if any did not come as it should."""
    chosen: dict[int, Image.Image] = {}
    starts = [bisect.bisect_right(packets.keys, time) - 1 for time in wanted]
    with _open(path) as container:
        stream = _stream(container)
        for start in dict.fromkeys(starts):
            key = packets.keys[start]
            group = {time for time, of in zip(wanted, starts, strict=True) if of == start}
            if key != packets.times[0]:
                container.seek(key, stream=stream)
            for frame in _decode_sparingly(container, stream, group):
                if frame.interlaced_frame or frame.is_corrupt:
                    return None
                if frame.pts in group:
                    chosen[frame.pts] = _upright(frame)
                if group <= chosen.keys():
                    break
    return chosen if chosen.keys() == set(wanted) else None


def _decode_sparingly(container: Any, stream: Any, wanted: set[int]) -> Iterator[Any]:
    """Frames from where the container stands, of which those that nothing refers to are left out unless `wanted`."""
    for packet in container.demux(stream):
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted or not packet.size else "NONREF"
        yield from packet.decode()


def _decode_all(path: Path, number: int) -> list[Image.Image]:
    """The same by decoding everything: once to count, once to choose."""
    count = sum(1 for _ in _all_frames(path))
    if not count:
        raise ValueError("no frame of it can be decoded")
    indices = frame_indices(count, number)
    chosen: dict[int, Image.Image] = {}
    for index, frame in enumerate(_all_frames(path)):
        if index in indices:
            chosen[index] = _upright(frame)
    return [chosen[index] for index in indices]


def _all_frames(path: Path) -> Iterator[Any]:
    """Every frame; packets at the start that refer to what is not in the file are passed over, as players do.

    Raises ValueError at a damaged frame: what a decoder makes of it and of those that refer to it is its own guess.
    """
    av = _pyav()
    with _open(path) as container:
        stream = _stream(container)
        begun = 0
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise ValueError(f"frame {begun} is damaged")
                    begun += 1
                    yield frame
            except av.InvalidDataError:
                if begun:
                    raise


def _upright(frame: Any) -> Image.Image:
    image = frame.to_image()
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return image if turn is None else image.transpose(turn)
