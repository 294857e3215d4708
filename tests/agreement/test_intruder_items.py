"""Intruder items for people."""

import csv

import pytest
from example_run import head_rows, write_run

from ccs_exp.agreement.command import main


def test_a_sheet_hides_which_text_is_another_head_s_and_the_key_tells(tmp_path, capsys):
    rows = {row["head"]: row for row in head_rows()}
    write_run(tmp_path / "run", samples=20)
    command = ["draw", str(tmp_path / "run"), "--intruders", "--per-run", "12", "--out", str(tmp_path / "sheet.csv")]
    main(command)
    with open(tmp_path / "sheet.csv", newline="") as sheet, open(tmp_path / "sheet.key.csv", newline="") as key:
        asked, told = list(csv.DictReader(sheet)), list(csv.DictReader(key))
    assert len(asked) == len(told) == 12 and set(asked[0]) == {"item", *(f"text_{n}" for n in range(1, 6)), "choice"}
    for item, where in zip(asked, told, strict=True):
        own = {rows[where["head"]][f"description_{n}"] for n in range(1, 6)}
        others = {rows[where["intruder_of"]][f"description_{n}"] for n in range(1, 6)}
        strange = [n for n in range(1, 6) if item[f"text_{n}"] not in own]
        assert strange == [int(where["intruder"])] and item[f"text_{strange[0]}"] in others and item["choice"] == ""
    assert "12 items" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="filled already"):
        main(command)
