"""How time and memory grow with images, conditions, heads, descriptions, and cells of a sweep that are kept.

    python benchmarks/growth.py [--only AXIS ...] [--small] [--again]

About an hour on two cores that do nothing else. Every point is a line of growth.csv as soon as it is measured, and a run that is ended
goes on where it stopped; `--again` measures all anew. At the end slopes are fitted and docs/images/growth.png is drawn.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import results_file
from growth_points import AXES
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
FILE, PLOT = HERE / "growth.csv", HERE.parent / "docs" / "images" / "growth.png"
COLUMNS = ("axis", "size", "seconds", "mib", "load", "date", "machine")
STEEPEST = 1.05  # of images and conditions, seconds against size, both as logarithms
FLAT = 1.05  # memory of 5,000 images beside that of 500
SMALL, SMALL_CELLS = (6, 12), (1, 2)
Points = dict[str, dict[int, tuple[float, float]]]  # seconds and MiB by axis and size


def read(file: Path) -> Points:
    points: Points = defaultdict(dict)
    if file.exists():
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                points[row["axis"]][int(row["size"])] = float(row["seconds"]), float(row["mib"])
    return points


def measure(file: Path, axis: str, size: int, folder: str) -> None:
    """Add the point to `file`."""
    command, busy = [sys.executable, str(HERE / "growth_points.py"), axis, str(size)], results_file.load()
    done = subprocess.run(command, env=os.environ | {"GROWTH_FOLDER": folder}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{axis}, {size:,}:\n{done.stderr[-2000:]}")
    taken, mib = map(float, done.stdout.split()[-2:])
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([COLUMNS] * new)
        writer.writerow((axis, size, taken, f"{mib:.0f}", f"{busy:.1f}", f"{datetime.now(UTC):%Y-%m-%d}", results_file.machine()))
    print(f"{axis:28} {size:7,} {taken:9.2f} s {mib:8,.0f} MiB   load {busy:.1f}", flush=True)


def slope(points: dict[int, tuple[float, float]], last: int = 0) -> float:
    """Of a line through the logarithms, of the `last` sizes or of all."""
    sizes = sorted(points)[-last:]
    return float(np.polyfit(np.log(sizes), np.log([points[size][0] for size in sizes]), 1)[0])


def told(points: Points) -> tuple[Table, bool]:
    table, reached = Table(box=None, padding=(0, 2, 0, 0)), True
    for name in ("of", "sizes", "seconds at most", "slope", "of the last three", "MiB, least to most", ""):
        table.add_column(name, justify="left" if name in ("of", "") else "right")
    for axis, found in points.items():
        if len(found) < 2:
            continue
        sizes, bounded = sorted(found), axis.startswith(("images", "conditions"))
        all_of_it, end, memory = slope(found), slope(found, 3), [mib for _, mib in found.values()]
        fine = not bounded or max(all_of_it, end) <= STEEPEST
        if axis.startswith("images") and {500, 5_000} <= set(found):
            fine &= found[5_000][1] <= FLAT * found[500][1]
        reached &= fine
        seconds, span, mib = f"{found[sizes[-1]][0]:,.1f}", f"{sizes[0]:,} to {sizes[-1]:,}", f"{min(memory):,.0f} to {max(memory):,.0f}"
        table.add_row(axis, span, seconds, f"{all_of_it:.2f}", f"{end:.2f}", mib, "" if fine else "MISSED")
    return table, reached


def draw(points: Points, path: Path) -> None:
    shown = [axis for axis in AXES if len(points.get(axis, ())) > 1]
    figure = Figure(figsize=(10, 2.6 * -(-len(shown) // 4)), layout="constrained")
    for number, axis in enumerate(shown):
        sizes = sorted(points[axis])
        times = [points[axis][size][0] for size in sizes]
        axes = figure.add_subplot(-(-len(shown) // 4), 4, number + 1)
        axes.loglog(sizes, times, "o-", markersize=3, linewidth=1)
        axes.loglog(sizes, [times[-1] * size / sizes[-1] for size in sizes], ":", color="grey", linewidth=1)
        axes.set_title(f"{axis}\nslope {slope(points[axis]):.2f}", fontsize=8)
        axes.set_xticks(sizes[:: max(1, len(sizes) - 1)], [f"{size:,}" for size in sizes[:: max(1, len(sizes) - 1)]])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=7)
        if number % 4 == 0:
            axes.set_ylabel("seconds", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(AXES), default=tuple(AXES), metavar="AXIS", help=", ".join(AXES))
    parser.add_argument("--small", action="store_true", help="two small points of each, into a folder that is removed: whether it runs")
    parser.add_argument("--again", action="store_true", help="measure the points of growth.csv too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, plot = (Path(folder) / "growth.csv", Path(folder) / "growth.png") if arguments.small else (FILE, PLOT)
        if arguments.again:
            file.unlink(missing_ok=True)
        for axis in arguments.only:
            for size in (SMALL_CELLS if axis.startswith("cells") else SMALL) if arguments.small else AXES[axis][1]:
                if size not in read(file)[axis]:
                    measure(file, axis, size, folder)
        draw(read(file), plot)
        table, reached = told(read(file))
        Console(width=150).print(table)
    sys.exit(not reached and not arguments.small)


if __name__ == "__main__":
    main()
