"""Texts of models and files in files that people open: a spreadsheet sees no formula, a terminal nothing to obey, and nothing is lost."""

import csv
import re

import pytest
from example_run import head_rows
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ccs_exp.files import CONTROL, csv_bytes, from_cell, read_csv, to_cell
from ccs_exp.run_folder.columns import ACCURACY_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.spans import read_spans

HOSTILE = ('=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(1)", "\t=1", "＝1", "a\x1b]0;title\x07b", "\x9b2J", "a\u202eb", "\r=1")
TRICKY = st.text(alphabet="\\u0019bdf2'=+-@\t\n\r\x1b\x85\u202e a", max_size=14)


@settings(max_examples=300, deadline=None)
@given(TRICKY | st.text())
@example("\\\x1b")
@example("'=")
@example("\\\\u001b")
def test_every_text_is_read_as_it_was_and_written_so_that_nothing_obeys_it(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert not re.search(CONTROL, cell) and not cell.startswith(("=", "+", "-", "@", "\t", "\n"))


@pytest.mark.parametrize("text", ["red", "it's", "'tis", "'", "-", "C:\\users", "\\u00e9", "日本 🎨", " =1"])
def test_texts_by_hand_are_read_as_they_are(text):
    assert from_cell(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_model_says_is_no_formula_in_heads_csv(tmp_path, text):
    folder = RunFolder(tmp_path)
    folder.write("heads.csv", [head_rows(1, 1)[0] | {"label": text, "description_1": text}])
    raw = (tmp_path / "heads.csv").read_text(encoding="utf-8")
    (row,) = list(csv.reader(raw.splitlines()))[1:]
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "＝"))] and not re.search(CONTROL, raw)
    assert folder.read_heads().iloc[0]["label"] == text == folder.read_heads().iloc[0]["description_1"]
    assert read_spans(tmp_path / "heads.csv")[0].descriptions[0] == text.strip()  # as of any file of descriptions


def test_numbers_stay_numbers(tmp_path):
    row = dict.fromkeys(ACCURACY_COLUMNS, "x") | {"num_pruned": -3, "value": -0.25, "delta": -0.5}
    path = tmp_path / "numbers.csv"
    path.write_bytes(csv_bytes([row], ACCURACY_COLUMNS))
    (read,) = read_csv(path, ACCURACY_COLUMNS)
    assert path.read_text().splitlines()[1].endswith("-3,x,-0.250000,-0.500000")
    assert (read["num_pruned"], read["value"]) == ("-3", "-0.250000")


def test_a_summary_on_a_terminal_moves_no_cursor(tmp_path):
    from example_run import write_run

    folder = write_run(tmp_path, skipped=["a\x9b2J\u202e.png"])
    assert not re.search(CONTROL, (tmp_path / "summary.json").read_text())
    assert folder.read_summary()["skipped"] == ["a\x9b2J\u202e.png"]
