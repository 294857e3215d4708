from __future__ import annotations

import csv
import errno
import json
import os
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from example_run import head_rows, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole
from ccs_exp.run_folder.columns import ACCURACY_COLUMNS, HEADS_COLUMNS, RETRIEVAL_COLUMNS, SCHEMA_VERSION
from ccs_exp.run_folder.folder import RunFolder, read_heads_csv

FILES = ("heads.csv", "ccs_at_k.csv", "accuracy.csv", "predictions.parquet", "summary.json")


def read_bytes(folder: RunFolder) -> dict[str, bytes]:
    return {name: (folder.path / name).read_bytes() for name in FILES}


def test_what_is_written_is_read_back(tmp_path):
    rows = head_rows(unjudged=("L9.H3",))
    folder = write_run(tmp_path, rows)
    read = folder.read_heads().to_dict("records")
    for row, back in zip(rows, read, strict=True):
        assert back == row | {"explained_variance": pytest.approx(row["explained_variance"], abs=5e-7)}
    assert [row["ccs"] for row in read if row["head"] == "L9.H3"] == [None]
    assert folder.read_ccs_at_k()["fraction"].sum() == pytest.approx(1, abs=1e-5)
    assert tuple(folder.read_accuracy().columns) == ACCURACY_COLUMNS
    assert len(folder.read_predictions()) == 6 * 500
    assert folder.read_summary()["schema_version"] == SCHEMA_VERSION


def test_the_same_rows_give_the_same_bytes(tmp_path):
    assert read_bytes(write_run(tmp_path / "a")) == read_bytes(write_run(tmp_path / "b"))


def test_what_was_read_is_written_as_it_was(tmp_path):
    one, rewritten = (RunFolder(tmp_path / name) for name in "ab")
    one.write("heads.csv", head_rows(unjudged=("L9.H3",)))
    rewritten.write("heads.csv", one.read_heads().to_dict("records"))
    assert (rewritten.path / "heads.csv").read_bytes() == (one.path / "heads.csv").read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_cells_hold_any_text(tmp_path_factory, label, description):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write("heads.csv", [head_rows(1, 1)[0] | {"label": label, "description_5": description}])
    (row,) = folder.read_heads().to_dict("records")
    assert (row["label"], row["description_5"]) == (label, description)


@pytest.mark.parametrize(
    "text", ['a "quoted", one', "two\r\nlines", "=cmd|' /C calc'!A0", "NA", "null", "1.0", "日本 🎨", " spaced "]
)
def test_cells_that_programs_like_to_change_stay_as_they_are(tmp_path, text):
    folder = RunFolder(tmp_path)
    folder.write("heads.csv", [head_rows(1, 1)[0] | {"label": text}])
    assert folder.read_heads()["label"].tolist() == [text]


def test_text_that_cannot_be_encoded_is_escaped(tmp_path):
    folder = write_run(tmp_path, skipped=["caf\udce9.png"])
    assert folder.read_summary()["skipped"] == ["caf\\udce9.png"]


def test_numbers_have_six_decimals_and_no_negative_zero(tmp_path):
    folder = RunFolder(tmp_path)
    row = dict.fromkeys(ACCURACY_COLUMNS, "x") | {"num_pruned": 3, "value": 2 / 3, "delta": -1e-9}
    folder.write("accuracy.csv", [row, row | {"value": None}])
    cells = [line[-3:] for line in csv.reader((tmp_path / "accuracy.csv").open())]
    assert cells[1:] == [["x", "0.666667", "0.000000"], ["x", "", "0.000000"]]
    assert folder.read_accuracy()["value"].tolist() == [0.666667, None]


def test_nan_is_absence_and_infinity_an_error(tmp_path):
    folder = write_run(tmp_path, note=float("nan"))
    assert json.loads((tmp_path / "summary.json").read_text())["note"] is None
    with pytest.raises(ValueError, match="infinite"):
        folder.write("heads.csv", [head_rows(1, 1)[0] | {"explained_variance": float("inf")}])


@pytest.mark.parametrize("change", [lambda row: row.pop("label"), lambda row: row.update(extra=1)])
def test_wrong_columns_are_refused_and_write_nothing(tmp_path, change):
    rows = head_rows(1, 2)
    change(rows[1])
    with pytest.raises(ValueError, match=r"label|extra"):
        RunFolder(tmp_path).write("heads.csv", rows)
    assert list(tmp_path.iterdir()) == []


def test_retrieval_ranks_are_written_as_such(tmp_path):
    folder = RunFolder(tmp_path)
    row = {"query_id": "q", "task": "videos", "condition": "original", "direction": "t2v", "rank": 1.5, "margin": 0.25}
    folder.write_predictions(pa.Table.from_pylist([row]))
    table = folder.read_predictions()
    assert tuple(table.columns) == RETRIEVAL_COLUMNS and table["rank"].tolist() == [1.5]


def test_absent_pieces_are_none(tmp_path):
    folder = write_run(tmp_path, dataset=None)
    assert folder.read_accuracy() is None and folder.read_predictions() is None


def test_clear_takes_away_results_and_nothing_else(tmp_path):
    folder = write_run(tmp_path)
    (tmp_path / ".heads.csv.1.part").write_text("half")
    (tmp_path / "notes.txt").write_text("mine")
    folder.figures.mkdir()
    (folder.figures / "accuracy.png").write_bytes(b"")
    folder.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "heads.csv"
    write_whole(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CcsError, match="No space left") as caught:
        write_whole(path, b"new")
    assert str(tmp_path) in str(caught.value)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_no_part(tmp_path, monkeypatch):
    def interrupted(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "heads.csv", b"new")
    assert list(tmp_path.iterdir()) == []


def test_readers_see_only_whole_files(tmp_path):
    path, sizes, done = tmp_path / "file", set(), threading.Event()
    write_whole(path, b"x" * 100_000)

    def watch():
        while not done.is_set():
            sizes.add(len(path.read_bytes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for size in [200_000, 100_000] * 20:
        write_whole(path, b"x" * size)
    done.set()
    watcher.join()
    assert sizes <= {100_000, 200_000}


def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(CcsError, match="run"):
        RunFolder(tmp_path / "run").prepare()
    with pytest.raises(CcsError, match="run"):
        RunFolder(tmp_path / "run").write("heads.csv", head_rows(1, 1))


def test_heads_csv_errors_name_what_is_wrong(tmp_path):
    path = tmp_path / "heads.csv"
    with pytest.raises(CcsError, match="there is no such file"):
        read_heads_csv(path)
    path.write_text("head,label\nL1.H1,colors\n")
    with pytest.raises(CcsError, match="lacks the columns model, layer, ccs"):
        read_heads_csv(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CcsError, match="UTF-8"):
        read_heads_csv(path)
    path.write_text(",".join(HEADS_COLUMNS) + "\nshort,row\n")
    with pytest.raises(CcsError, match="2 cells"):
        read_heads_csv(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("ccs", 7, "0 to 5"), ("ccs", "many", "no number"), ("ccs_class", "top", "high, moderate"), ("verdict_2", "yes", "aligned")],
)
def test_heads_csv_values_are_checked(tmp_path, column, value, message):
    folder = RunFolder(tmp_path)
    folder.write("heads.csv", [head_rows(1, 1)[0] | {column: value}])
    with pytest.raises(CcsError, match=message):
        folder.read_heads()


def test_heads_csv_saved_by_a_spreadsheet_is_read(tmp_path):
    write_run(tmp_path)
    text = (tmp_path / "heads.csv").read_text().replace("\n", "\r\n")
    other = tmp_path / "saved.csv"
    other.write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(read_heads_csv(other), RunFolder(tmp_path).read_heads())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 2}', '{"schema_version": 1}', '{"schema_version": 3}'])
def test_a_damaged_summary_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(CcsError, match=r"summary\.json"):
        RunFolder(tmp_path).read_summary()


def test_a_summary_without_a_required_key_is_refused(tmp_path):
    with pytest.raises(ValueError, match="config_hash"):
        RunFolder(tmp_path).write_summary({"model": "tiny"})
    assert not Path(tmp_path / "summary.json").exists()
