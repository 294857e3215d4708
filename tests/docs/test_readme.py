"""The README, followed from its first line to its last."""

import pages
import pytest
from pages import FEWER, ROOT

README = ROOT / "README.md"


@pytest.mark.parametrize("more", [FEWER, pytest.param((), marks=pytest.mark.full)], ids=["on fewer images", "to the letter"])
def test_what_it_shows_runs(more, reader, capsys):
    reader(README, *more)
    printed = capsys.readouterr().out
    assert "L2.H0" in printed and "high_ccs" in printed


def test_it_is_read_in_a_few_minutes():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_its_example_in_python_is_short():
    (example,) = (block.text for block in pages.blocks(README) if block.language == "python")
    assert len(example.strip().splitlines()) <= 11


def test_its_picture_is_light():
    assert (ROOT / "docs" / "images" / "report.png").stat().st_size < 250_000


def test_every_block_of_it_is_run_or_says_what_it_needs():
    assert [block.reason for block in pages.blocks(README) if block.reason] == ["needs the network", "needs Slurm", "needs the network"]
