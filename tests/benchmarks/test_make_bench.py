"""`make bench`: its rows, its file, and the pages that quote it. What it measures is not tested here, only that it runs and says so."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import results_file  # noqa: E402
from timing import Result, compare  # noqa: E402


def row(name, ratio=2.0, **more):
    return Result(name, "a pass each", 0.5, 1.0, ratio, "all bits the same", (0.5, 1.5), **more)


def test_a_comparison_takes_medians_and_scales_what_was_done_in_part(monkeypatch):
    ticks = iter([1.0, 3.0, 8.0, 2.0, 1.0, 2.0])  # ours first, then the other first, then ours again
    monkeypatch.setattr("timing.seconds", lambda _: next(ticks))
    result = compare("it", "that", lambda: 1, lambda: 1, lambda a, b: "same", repeats=3, times=10, target=11)
    assert (result.ours, result.reference, result.ratio) == (1.0, 30.0, 30.0)
    assert result.cells()[4:7] == ("30.00x", "20.00 to 40.00", "≥ 11x")


def test_a_long_first_pair_is_timed_with_the_others(monkeypatch):
    ticks = iter([6.0, 30.0, 2.0, 40.0])  # ours and the other; then the other goes first
    monkeypatch.setattr("timing.timed", lambda function: (function(), next(ticks)))
    result = compare("it", "that", lambda: 1, lambda: 1, lambda a, b: "same", repeats=2)
    assert (result.ours, result.reference, result.ratio) == (23.0, 16.0, (30 / 6 + 2 / 40) / 2)


def test_both_sides_are_held_together_before_they_are_timed():
    def unlike(a, b):
        raise SystemExit("they differ")

    with pytest.raises(SystemExit, match="they differ"):
        compare("it", "that", lambda: 1, lambda: 2, unlike)


def test_the_file_says_where_when_and_what_was_missed(tmp_path):
    file = tmp_path / "RESULTS.md"
    rows = [row("fast", target=1.5, limit=2.5), row("slow", target=3.0), row("small", ratio=0.4, target=0.5, at_most=True)]
    results_file.write(file, rows, began=datetime.now(UTC), busy=3.0, left=["texts"])
    text = file.read_text(encoding="utf-8")
    assert "Targets missed: slow." in text and "Not measured (yet): texts." in text and "BUSY" in text and " cores" in text
    quote = results_file.quote(text, ("benchmark", "ratio", "of limit"), ("fast", "small"))
    assert quote.splitlines()[2:] == ["| fast | 2.00x | 80% |", "| small | 0.40x |  |"]


@pytest.mark.parametrize("name", results_file.QUOTES)
def test_pages_quote_what_was_measured(name):
    page, measured = (ROOT / name).read_text(encoding="utf-8"), results_file.FILE.read_text(encoding="utf-8")
    assert results_file.quoted(page, name, measured) == page, "python benchmarks/results_file.py writes the quotes anew"
    assert "| ranks, 5,000 x 5,000 |" in page


@pytest.mark.full
def test_it_runs_from_end_to_end(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks"), "--small", "--output", str(tmp_path / "RESULTS.md")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "Not measured" not in text and text.count("\n| ") > 12


@pytest.mark.full
def test_growth_is_measured_point_by_point(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "growth.py"), "--small"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "cells of a sweep, all kept" in done.stdout and "slope" in done.stdout
