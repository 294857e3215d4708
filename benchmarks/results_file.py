"""`RESULTS.md`: one table of what was measured, on what, when; and the places that quote it.

    python benchmarks/results_file.py     # writes the quotes in README.md and docs/about/speed.md anew from RESULTS.md
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from timing import COLUMNS, Result

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("ccs_exp", "torch", "torchvision", "open_clip_torch", "pillow", "numpy")
# README's rows, by how their names begin: the claims that a newcomer meets
HEADLINES = (
    *("ViT-B-32, 10 conditions", "ViT-B-32, 48 single heads", "ViT-B-32, 200 matched sets"),
    *("TEXTSPAN", "ViT-B-32, 350 descriptions", "ranks"),
)
QUOTES = {"README.md": ("benchmark", "against", "ratio", "of limit"), "docs/about/speed.md": COLUMNS}
_BEGIN, _END = "<!-- from benchmarks/RESULTS.md -->", "<!-- to here -->"


def machine() -> str:
    """The processor, or the card, without the machine's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = re.search(r"model name\s*: (.+)", _text(Path("/proc/cpuinfo")))
    processor = found[1].strip() if found else platform.processor() or platform.machine()
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{processor}, {cores} cores, torch's threads: {torch.get_num_threads()}{card}"


def load() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def table(results: Sequence[Result]) -> str:
    return _markdown(COLUMNS, [result.cells() for result in results])


def write(file: Path, results: Sequence[Result], *, began: datetime, busy: float, left: Sequence[str]) -> None:
    """Replace `file`; `busy`: the load before the first measurement; `left`: what is not measured yet."""
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    wanted = "nothing else ran" if busy < 0.5 else "the machine was BUSY: seconds are too long, ratios uncertain"
    missing = f"\nNot measured (yet): {', '.join(left)}.\n" if left else ""
    missed = [result.name for result in results if not result.reached]
    file.write_text(f"""# What was measured

`make bench` writes this file; README and docs/about/speed.md quote it.

- Machine: {machine()}. Load before the first measurement: {busy:.1f} ({wanted}).
- Python {platform.python_version()}, {versions}. Weights are random.
- {began:%Y-%m-%d}, {minutes:.0f} minutes.

Seconds are medians of runs in one process, ours and the reference in turn; the ratio is the median of the ratios pair by pair, beside it
the lowest and the highest. The limit is what counting multiplications allows at best for shared work; what is above it, faster kernels do.
Targets with ≤ are on ours / reference. Targets missed: {'; '.join(missed) or 'none'}.
{missing}
{table(results)}""", encoding="utf-8")  # fmt: skip


def quote(text: str, columns: Sequence[str], rows: Sequence[str] = ()) -> str:
    """The table in `text` with some of its columns and, by how their names begin, rows."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    header, *cells = [[cell.strip() for cell in line] for line in lines if not set("".join(line)) <= set(" -:")]
    kept = [cell for cell in cells if not rows or cell[0].startswith(tuple(rows))]
    return _markdown(columns, [[row[header.index(column)] for column in columns] for row in kept])


def quoted(page: str, name: str, text: str) -> str:
    """`page` with its quote made anew."""
    new = quote(text, QUOTES[name], HEADLINES if name == "README.md" else ())
    return re.sub(f"{_BEGIN}.*?{_END}", lambda _: f"{_BEGIN}\n{new}{_END}", page, flags=re.DOTALL)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main() -> None:
    for name in QUOTES:
        page = ROOT / name
        page.write_text(quoted(page.read_text(encoding="utf-8"), name, FILE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
