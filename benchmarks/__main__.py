"""All benchmarks of speed in one table: `make bench`.

    python benchmarks [--only encoding ranks ...] [--small] [--output FILE]

Rows are printed as they come; the file is written after each group, so that a run that is ended early leaves what it had.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import encoding
import feeding
import many_masks
import ranks
import results_file
import texts
import textspan
import torch
from timing import Result, show

GROUPS = {
    "ranks": ranks.results,
    "textspan": textspan.results,
    "feeding": feeding.results,
    "texts": texts.results,
    "encoding": encoding.results,
    "many_masks": many_masks.results,
}


def measured(names: Sequence[str], small: bool, file: Path) -> Iterator[Result]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began, busy, found = datetime.now(UTC), results_file.load(), list[Result]()
    for number, name in enumerate(names):
        for result in GROUPS[name](device, small):
            found.append(result)
            yield result
        left = [*names[number + 1 :], *(other for other in GROUPS if other not in names)]
        results_file.write(file, found, began=began, busy=busy, left=left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(GROUPS), default=tuple(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--small", action="store_true", help="once, on little: whether it runs, not how fast")
    parser.add_argument("--output", type=Path, default=results_file.FILE)
    arguments = parser.parse_args()
    with torch.inference_mode():
        reached = show(measured(arguments.only, arguments.small, arguments.output), results_file.machine())
    if arguments.output == results_file.FILE:
        results_file.main()
    sys.exit(not reached and not arguments.small)


if __name__ == "__main__":
    main()
