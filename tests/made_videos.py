"""Videos whose frames say their own number, so that what a decoder gives can be checked without another decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

BLOCK = 16


def numbered(number: int, width: int = 10 * BLOCK, height: int = 4 * BLOCK) -> np.ndarray:
    """``[height, width, 3]``: ten columns, white where the number's bit is set; the upper left quarter is red in every frame."""
    picture = np.zeros((height, width, 3), np.uint8)
    for bit in range(10):
        picture[:, bit * width // 10 : (bit + 1) * width // 10] = 255 * (number >> bit & 1)
    picture[: height // 2, : width // 10] = (255, 0, 0)
    return picture


def number_of(image: Image.Image) -> int:
    """The number that a frame shows, read from its lower half."""
    row = np.asarray(image.convert("L"))[-image.height // 4]
    return sum(1 << bit for bit in range(10) if row[(2 * bit + 1) * image.width // 20] > 127)


def write_video(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    size: tuple[int, int] = (10 * BLOCK, 4 * BLOCK),
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """`count` numbered frames; `times` (in 1/25 s) makes their rate vary."""
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "bgr0" if codec == "ffv1" else "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size), format="rgb24")
            frame.pts = times[number] if times else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, 44100, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path) -> Path:
    """Say in the MP4's track header that players must turn the picture by a quarter, as phones do."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version 0: forty bytes before the matrix
    quarter = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    content[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    path.write_bytes(content)
    return path
