"""All benchmarks of speed in one table: `make bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import encoding
import ranks
import texts
import textspan
import torch
from timing import Result, show


def results() -> Iterator[Result]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield from encoding.results(device)
    yield from textspan.results()
    yield from texts.results(device)
    yield from ranks.results()


def main() -> None:
    with torch.inference_mode():
        sys.exit(not show(results(), f"torch {torch.__version__}, {torch.get_num_threads()} threads"))


if __name__ == "__main__":
    main()
