"""Intruder items for people: drawn, filled, scored."""

import csv
from pathlib import Path

import pytest
from example_run import head_rows, write_run
from sklearn.metrics import roc_auc_score

from ccs_exp.agreement.command import main
from ccs_exp.agreement.intruder_findings import found_by_people


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


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def fill(sheet: Path, to: Path, choose) -> None:
    """A copy of the sheet whose choices `choose` gives, from the item's row."""
    rows = read(sheet)
    with open(to, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"choice": choose(row)} for row in rows)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Items of two runs, whose heads have the same names."""
    here = tmp_path_factory.mktemp("intruders")
    runs = [str(write_run(here / name, samples=20).path) for name in ("one", "two")]
    main(["draw", *runs, "--intruders", "--per-run", "300", "--out", str(here / "sheet.csv")])
    return here / "sheet.csv"


def test_a_filled_sheet_is_scored_by_head_and_class_as_judges_are(drawn, capsys):
    where = {row["item"]: row for row in read(drawn.with_name("sheet.key.csv"))}
    # finds those of high heads, of others the first text; and leaves a head of each run out
    out = {row["run"]: row["head"] for row in where.values()}
    choices = {
        item: "" if row["head"] == out[row["run"]] else row["intruder"] if row["ccs_class"] == "high" else "1"
        for item, row in where.items()
    }
    fill(drawn, drawn.with_name("sheet.ratings.anna.csv"), lambda row: choices[row["item"]])
    one, two, both = found_by_people(drawn)
    assert {person.summary["judge"] for person in (one, two, both)} == {"anna"} and both.run == "all"
    for person in (one, two):
        mine = {item: row for item, row in where.items() if row["run"] == person.run}
        assert {str(share.head) for share, _ in person.shares} == {row["head"] for row in mine.values()}
        for share, of in person.shares:
            items = {item: row for item, row in mine.items() if row["head"] == str(share.head)}
            answered = [item for item in items if choices[item]]
            assert (share.answered, share.unanswered) == (len(answered), len(items) - len(answered))
            if answered:
                assert share.found == pytest.approx(sum(choices[item] == items[item]["intruder"] for item in answered) / len(answered))
            assert {row["ccs_class"] for row in items.values()} == {of}
        known = [(share.found, of) for share, of in person.shares if share.found is not None]
        low, high = person.summary["interval"]
        assert low < person.summary["found"] < high
        assert person.summary["found"] == pytest.approx(sum(found for found, _ in known) / len(known))
        ends = [(found, of == "high") for found, of in known if of != "moderate"]
        assert person.summary["area"] == pytest.approx(roc_auc_score([high for _, high in ends], [found for found, _ in ends]))
    assert both.summary["heads"] == one.summary["heads"] + two.summary["heads"], "heads of two runs are not one for having one name"
    main(["report", str(drawn), "--intruders"])
    assert "anna" in capsys.readouterr().out
    rows = read(drawn.with_name("intruder.csv"))
    assert len(rows) == both.summary["heads"] and {row["judge"] for row in rows} == {"anna"}
    drawn.with_name("sheet.ratings.anna.csv").unlink()


def test_who_guesses_finds_a_fifth_and_a_spreadsheet_may_sort_the_rows(drawn):
    fill(drawn, drawn.with_name("sheet.ratings.ben.csv"), lambda row: 1 + int(row["item"]) % 5)
    one, two, both = found_by_people(drawn)
    assert both.summary["interval"][0] < 0.2 < both.summary["interval"][1]
    copy = drawn.with_name("sheet.ratings.ben.csv")
    lines = copy.read_text().splitlines()
    copy.write_text("\n".join([lines[0], *sorted(lines[1:])]) + "\n")
    again = found_by_people(drawn)
    assert [person.summary for person in again] == [one.summary, two.summary, both.summary]
    copy.unlink()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda text: text.replace(",1\n", ",6\n", 1), "choice is '6'.*1 to 5"),
        (lambda text: text.replace(",1\n", ",one\n", 1), "choice is 'one'"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "each needs to be there once"),
        (lambda text: text.replace("teal", "turquoise", 1), "does not know this item"),
        (lambda text: text.replace(",1\n", ",\n"), "Nobody has filled"),
    ],
)
def test_a_sheet_that_cannot_be_scored_says_why(drawn, spoil, error):
    copy = drawn.with_name("sheet.ratings.cid.csv")
    fill(drawn, copy, lambda row: 1)
    copy.write_text(spoil(copy.read_text().replace("\r\n", "\n")))
    with pytest.raises(SystemExit, match=error):
        main(["report", str(drawn), "--intruders"])
    copy.unlink()
