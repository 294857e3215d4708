"""Run folders that others made, to ``ccs-exp report``: what no run writes is refused with its reason, and the others are reported."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from example_run import head_rows, write_run

from ccs_exp.errors import CcsError
from ccs_exp.report.command import main
from ccs_exp.report.contents import gather
from ccs_exp.run_folder.columns import ACCURACY_COLUMNS
from ccs_exp.tracking.dashboard.command import main as dashboard


def summary_with(**changes):
    def change(folder: Path) -> None:
        path = folder / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def replaced(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def grown(name: str, size: int):
    return lambda folder: os.truncate(folder / name, size)  # a hole: it takes no room on disk


ELSEWHERE = "what a file outside of the run folder holds"


def linked(name: str):
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        elsewhere = folder.parent / "elsewhere.txt"
        elsewhere.write_text(ELSEWHERE)
        (folder / name).symlink_to(elsewhere)

    return change


def linked_figures(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "a.png").write_bytes(b"")
    (folder / "figures").symlink_to(folder / "elsewhere")


def linked_in_atlas(folder: Path) -> None:
    (folder / "atlas" / "heads").mkdir(parents=True, exist_ok=True)
    (folder.parent / "id_rsa").write_text(ELSEWHERE)
    (folder / "atlas" / "heads" / "notes").symlink_to(folder.parent / "id_rsa")


def fifo(folder: Path) -> None:
    (folder / "heads.csv").unlink()
    os.mkfifo(folder / "heads.csv")


def many_rows(folder: Path) -> None:
    """A Parquet file of 300 million rows that are alike: a few kilobytes on disk, gigabytes in memory."""
    import pyarrow
    from pyarrow import parquet

    rows = 30_000_000
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.repeat(pyarrow.scalar(0, pyarrow.int8()), rows), ["original"])
    with parquet.ParquetWriter(folder / "predictions.parquet", pyarrow.schema([("condition", column.type)])) as writer:
        for _ in range(10):
            writer.write_table(pyarrow.table({"condition": column}))


def other_heads(**changes):
    def change(folder: Path) -> None:
        text = (folder / "heads.csv").read_text()
        for before, after in changes.values():
            assert before in text
            text = text.replace(before, after, 1)
        (folder / "heads.csv").write_text(text)

    return change


HOSTILE = {
    "a later schema": (summary_with(schema_version=99), "schema version 99"),
    "an earlier schema": (summary_with(schema_version=0), "schema version 0; this version of ccs_exp reads schema version 2. Run"),
    "no schema": (summary_with(schema_version=None), "schema version None"),
    "texts for numbers": (summary_with(accuracy={"original": "<script>"}), "accuracy.original is '<script>'"),
    "no finite number": (summary_with(random={"mean": float("nan"), "sd": None, "seeds": []}), "random.mean is 'nan'"),
    "another shape": (summary_with(robustness={"shuffled_labels": {"mean": 1}, "relabel": None}), "robustness.shuffled_labels"),
    "evidence of another shape": (summary_with(evidence={"ccs_against_cost": {"rho": "high"}}), "evidence.ccs_against_cost"),
    "evidence that is a list": (summary_with(evidence=[1]), "evidence is"),
    "a map of other columns": (replaced("causal_map.csv", b"head,task\nL8.H0,a\n"), "causal_map.csv lacks the columns standardised"),
    "a map of texts": (replaced("causal_map.csv", b"head,task,standardised\nL8.H0,a,b\n"), "standardised holds what is no number"),
    "weights without a hash": (summary_with(weights={"origin": []}), "weights.origin"),
    "a summary nested too deep": (replaced("summary.json", b"[" * 200_000), "is not JSON"),
    "a summary of 100 MB": (grown("summary.json", 100 << 20), "more than any run writes"),
    "heads of 300 MB": (grown("heads.csv", 300 << 20), "more than any run writes"),
    "rows without end": (many_rows, "300,000,000 rows, more than any run writes"),
    "a link": (linked("report.html"), "is not a file of its own"),
    "a linked table": (linked("heads.csv"), "is not a file of its own"),
    "linked figures": (linked_figures, "is not a file of its own"),
    "a link in the atlas": (linked_in_atlas, "is not a file of its own"),
    "a device": (fifo, "is not a file of its own"),
    "a head beyond any encoder": (other_heads(a=(",8,L8.H0,", ",8,L8.H9999,")), "which no run writes"),
    "a head of many digits": (other_heads(a=(",8,L8.H0,", f",8,L8.H{'9' * 5000},")), "is not a head"),
    "another layer": (other_heads(a=(",8,L8.H0,", ",9,L8.H0,")), "stands in layer 9"),
    "a head that is none": (other_heads(a=(",L8.H0,", ",<img src=x>,")), "is not a head"),
    "broken numbers": (replaced("accuracy.csv", f"{','.join(ACCURACY_COLUMNS)}\na,b,c,d,1,top1,1e999,0\n".encode()), "row 1"),
    "binary tables": (replaced("accuracy.csv", os.urandom(2000)), "accuracy.csv"),
    "binary predictions": (replaced("predictions.parquet", b"PAR1" + os.urandom(500) + b"PAR1"), "predictions.parquet cannot be read"),
}


# of each kind of harm one; all by the long tests
SHORT = ("texts for numbers", "a summary nested too deep", "a link", "a device", "a head beyond any encoder", "broken numbers")


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in SHORT else pytest.mark.full) for kind in HOSTILE])
def test_a_hostile_folder_is_refused_and_the_others_are_reported(tmp_path, kind, capsys):
    spoil, reason = HOSTILE[kind]
    write_run(tmp_path / "runs" / "good", samples=40)
    write_run(tmp_path / "runs" / "bad", samples=40)
    spoil(tmp_path / "runs" / "bad")
    main([str(tmp_path / "runs"), "--output", str(tmp_path / "page")])
    printed = capsys.readouterr()
    assert "1 runs, 0 unfinished, 1 damaged" in printed.out
    assert reason in printed.err and "\x1b" not in printed.err
    page = (tmp_path / "page" / "reproduction.html").read_text()
    assert "1 run folders are damaged" in page and "<script" not in page and "<img src=x>" not in page
    assert ELSEWHERE not in page


SENT = ("a later schema", "texts for numbers", "a summary nested too deep", "a device", "a summary of 100 MB")
SENT += ("a link", "linked figures", "a link in the atlas")


@pytest.mark.parametrize("kind", SENT)
def test_a_hostile_folder_is_not_sent(tmp_path, kind, capsys):
    spoil, reason = HOSTILE[kind]
    write_run(tmp_path / "bad", samples=40, asked={"config": {}, "sweep": None, "varied": []})
    spoil(tmp_path / "bad")
    with pytest.raises(SystemExit):
        dashboard(["upload", str(tmp_path), "--offline"])
    assert reason in capsys.readouterr().err and not list(tmp_path.rglob("*.wandb"))


def test_overrides_that_multiply_are_not_written_out(tmp_path, capsys):
    """Lists of ten lists of ten, of each other: a billion words."""
    write_run(tmp_path / "good", samples=40)
    multiplied = ["- &a0 [x, x, x, x, x, x, x, x, x, x]", *(f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))]
    for name, text in (("multiplied", "\n".join([*multiplied, "- model=<b>\n"])), ("deep", "[" * 5000)):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / ".hydra" / "overrides.yaml").write_text(text)
    main([str(tmp_path), "--output", str(tmp_path / "page")])
    assert "2 unfinished" in capsys.readouterr().out and "model=&lt;b&gt;" in (tmp_path / "page" / "reproduction.html").read_text()


def test_more_heads_than_any_encoder_has_are_refused(tmp_path):
    write_run(tmp_path, head_rows(12, 900), samples=10)
    with pytest.raises(CcsError, match="10,800 heads, more than any encoder"):
        gather(tmp_path)
