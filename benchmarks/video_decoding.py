"""Frames by index against a plain loop that decodes and converts every frame, as most retrieval code does.

    python benchmarks/video_decoding.py FOLDER [--frames 12] [--rounds 3]

Both give the same frames, which is checked. Printed are chosen frames a second, on one core, the best of some rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ccs_exp.data.videos.captioned import VIDEO_SUFFIXES
from ccs_exp.data.videos.decoding import decoder, frame_indices, read_frames


def plain_loop(path: Path, number: int) -> list[Image.Image]:
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        frames = [frame.to_image() for frame in container.decode(stream)]
    return [frames[index] for index in frame_indices(len(frames), number)]


def best_time(read: Callable[[Path, int], list[Image.Image]], path: Path, number: int, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        read(path, number)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        parser.error(f"{options.folder} holds no video")
    print(f"{decoder()}, {options.frames} frames a video")
    totals = np.zeros(2)
    for path in paths:
        ours, plain = read_frames(path, options.frames), plain_loop(path, options.frames)
        assert all(np.array_equal(one, other) for one, other in zip(ours, plain, strict=True)), path
        times = [best_time(read, path, options.frames, options.rounds) for read in (read_frames, plain_loop)]
        totals += times
        speeds = "  ".join(f"{options.frames / seconds:8.1f}" for seconds in times)
        print(f"{path.name:44} {speeds} frames/s  {times[1] / times[0]:5.1f}x")
    speeds = "  ".join(f"{options.frames * len(paths) / seconds:8.1f}" for seconds in totals)
    print(f"{'all':44} {speeds} frames/s  {totals[1] / totals[0]:5.1f}x")


if __name__ == "__main__":
    main()
