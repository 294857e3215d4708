"""The study: a blind draw, ratings that survive anything, and findings that equal the libraries' on the same answers."""

import csv
import io
import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from command import ccs_exp
from example_run import head_rows, write_run
from rich.console import Console
from sklearn.metrics import cohen_kappa_score

from ccs_exp.agreement.draw import draw, read_runs
from ccs_exp.agreement.findings import judge_findings, study_findings
from ccs_exp.agreement.output import COLUMNS, markdown, write_findings
from ccs_exp.agreement.rating_terminal import rate
from ccs_exp.agreement.ratings import open_ratings, raters, ratings_path, read_ratings
from ccs_exp.agreement.sheet import key_path, read_key, read_sheet, write_study
from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv


def distinct_rows(model="tiny", unjudged=()):
    """Rows whose descriptions are all different, as real ones mostly are."""
    rows = head_rows(model=model, unjudged=unjudged)
    for row in rows:
        row |= {f"description_{n}": f"{row[f'description_{n}']} ({model} {row['head']} {n})" for n in range(1, 6)}
    return rows


def change_verdicts(rows, count):
    for row in rows[:count]:
        row["verdict_2"] = "aligned" if row["verdict_2"] == "not_aligned" else "not_aligned"
        row["ccs"] = [row[f"verdict_{n}"] for n in range(1, 6)].count("aligned")
        row["ccs_class"] = "high" if row["ccs"] == 5 else "low" if row["ccs"] <= 1 else "moderate"
    return rows


@pytest.fixture
def runs(tmp_path):
    """Two models, and the first again under another judge."""
    write_run(tmp_path / "one", distinct_rows("vitb32_openai"), dataset=None)
    write_run(tmp_path / "two", distinct_rows("vitb16_laion", unjudged=("L9.H3", "L10.H0")), dataset=None)
    write_run(tmp_path / "other", change_verdicts(distinct_rows("vitb32_openai"), 20), dataset=None)
    return {name: str(tmp_path / name) for name in ("one", "two", "other")}


@pytest.fixture
def sheet(tmp_path, runs):
    drawn = draw(read_runs([runs["one"], runs["two"]]), 50, seed=0)
    write_study(tmp_path / "study.csv", drawn.items, drawn.origins)
    return read_sheet(tmp_path / "study.csv")


def answer_all(sheet, rater, answers):
    with open_ratings(sheet, rater) as ratings:
        while ratings.current is not None:
            ratings.answer(ratings.current.name, answers(ratings.current))


def test_the_sheet_is_blind(sheet, runs):
    text = sheet.path.read_text()
    assert text.splitlines()[0] == "item,description,label" and len(sheet.items) == 100
    for secret in ("aligned", "verdict", runs["one"], "L11.H5,", "ccs"):
        assert secret not in text
    origins = {origin.item: origin for origin in read_key(sheet)}
    models = [origins[item.name].model for item in sheet.items]
    assert Counter(models) == {"vitb32_openai": 50, "vitb16_laion": 50}
    assert 25 < sum(one != other for one, other in itertools.pairwise(models)) < 75  # shuffled, not by model
    verdicts = [origins[item.name].verdict for item in sheet.items]
    assert 20 < sum(one != other for one, other in itertools.pairwise(verdicts)) < 80


def test_the_key_says_where_each_item_is_from(sheet, runs):
    tables = {row["head"]: row for row in distinct_rows("vitb32_openai")}
    items = {item.name: item for item in sheet.items}
    for origin in read_key(sheet):
        assert origin.verdict != "unjudged"
        if origin.run == runs["one"]:
            row = tables[origin.head]
            assert items[origin.item].description == row[f"description_{origin.position}"]
            assert (items[origin.item].label, origin.verdict) == (row["label"], row[f"verdict_{origin.position}"])


def test_a_draw_is_repeatable_and_follows_the_seed(runs):
    found = read_runs([runs["one"], runs["two"]])
    assert draw(found, 20, 1) == draw(found, 20, 1)
    assert draw(found, 20, 1).items != draw(found, 20, 2).items


def test_a_draw_without_end_takes_everything_judged_once(runs):
    drawn = draw(read_runs([runs["two"]]), 10_000, 0)
    assert drawn.available == {runs["two"]: 318} and drawn.unjudged == {runs["two"]: 2}
    assert len(drawn.items) == len(set(drawn.items)) == 318


def test_two_judges_of_the_same_descriptions_get_the_same_items_once(runs):
    drawn = draw(read_runs([runs["one"], runs["other"]]), 50, 0)
    assert len(drawn.items) == 50 and len(drawn.origins) == 100
    assert len({origin.verdict for origin in drawn.origins if origin.item == drawn.origins[0].item}) in (1, 2)


def test_an_unjudged_description_shifts_no_other(tmp_path, runs):
    write_run(tmp_path / "gaps", distinct_rows("vitb32_openai", unjudged=("L8.H3", "L9.H9")), dataset=None)
    full, gaps = (set(draw(read_runs([run]), 50, 0).items) for run in (runs["one"], str(tmp_path / "gaps")))
    texts = [{item.description for item in items} for items in (full, gaps)]
    assert len(texts[0] - texts[1]) <= 2


@pytest.mark.parametrize("stratify", ["ccs", "verdict"])
def test_strata_have_their_share_of_the_run(runs, stratify):
    found = read_runs([runs["one"]])
    whole = Counter(getattr(candidate.origin, stratify) for candidate in found[runs["one"]])
    drawn = Counter(getattr(origin, stratify) for origin in draw(found, 40, 0, stratify).origins)
    assert sum(drawn.values()) == 40
    for stratum, count in whole.items():
        assert abs(drawn[stratum] - 40 * count / 320) < 1


def test_answers_are_on_disk_at_once_and_are_gone_on_with(sheet):
    with open_ratings(sheet, "anna") as ratings:
        first, second = sheet.items[:2]
        ratings.answer(first.name, True)
        assert read_ratings(sheet, ratings.path) == {first.name: True}
        ratings.answer(second.name, False)
    with open_ratings(sheet, "anna") as ratings:
        assert ratings.answers == {first.name: True, second.name: False} and ratings.current == sheet.items[2]
        assert ratings.undo() == second.name and ratings.current == second
        assert read_ratings(sheet, ratings.path) == {first.name: True}
        ratings.answer(second.name, True)
        assert ratings.undo() == second.name and ratings.undo() == first.name and ratings.undo() is None
        assert read_ratings(sheet, ratings.path) == {} and ratings.current == first


def test_a_torn_last_line_is_forgotten_and_nothing_else(sheet):
    answer_all(sheet, "anna", lambda item: True)
    path = ratings_path(sheet.path, "anna")
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        path.write_bytes(whole[:-cut])
        assert len(read_ratings(sheet, path)) == 99
    with open_ratings(sheet, "anna") as ratings:
        ratings.answer(ratings.current.name, False)
        assert len(ratings.answers) == 100
    assert list(read_ratings(sheet, path).values()) == [True] * 99 + [False]


def test_a_killed_rater_has_lost_nothing(sheet):
    script = (
        "import os, sys\nfrom ccs_exp.agreement.ratings import open_ratings\nfrom ccs_exp.agreement.sheet import read_sheet\n"
        "with open_ratings(read_sheet(sys.argv[1]), 'anna') as ratings:\n"
        "    for _ in range(7): ratings.answer(ratings.current.name, True)\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(sheet.path)], check=False)
    assert done.returncode == -9
    with open_ratings(sheet, "anna") as ratings:  # and the lock is free
        assert len(ratings.answers) == 7


def test_one_rater_rates_in_one_window_only_and_two_raters_side_by_side(sheet):
    with open_ratings(sheet, "anna") as anna, open_ratings(sheet, "ben") as ben:
        anna.answer("1", True)
        ben.answer("1", False)
        with pytest.raises(CcsError, match="anna is rating .* in another window"), open_ratings(sheet, "anna"):
            pass
    assert {rater: read_ratings(sheet, path) for rater, path in raters(sheet.path).items()} == {
        "anna": {"1": True},
        "ben": {"1": False},
    }


@pytest.mark.parametrize("rater", ["", "../anna", "a b", "x" * 41, "anna.csv", "judge", "Judge"])
def test_names_that_make_no_file_name_are_refused(sheet, rater):
    with pytest.raises(CcsError, match="give a name of letters"), open_ratings(sheet, rater):
        pass


DAMAGED = {
    "junk": ("not, a rating\n", "lacks the columns"),
    "binary": (b"\xff\xfe\x00", "is UTF-16 text"),
    "short line": ("{head}{digest},1\n", "line 2: 2 cells"),
    "foreign sheet": ("{head}0000,1,yes,now\n", "answers another sheet"),
    "unknown item": ("{head}{digest},900,yes,now\n", "answers another sheet"),
    "other answer": ("{head}{digest},1,maybe,now\n", "the answer is 'maybe'"),
    "quotes": ('{head}{digest},"1,yes,now\n', "line 2: no row of a CSV file"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_rating_files_are_errors_and_stay_as_they_are(sheet, name):
    content, message = DAMAGED[name]
    path = ratings_path(sheet.path, "anna")
    if isinstance(content, str):
        content = content.format(head="sheet,item,answer,time\n", digest=sheet.digest).encode()
    path.write_bytes(content)
    with pytest.raises(CcsError, match=message), open_ratings(sheet, "anna"):
        pass
    with pytest.raises(CcsError, match=message):
        study_findings([sheet.path])
    assert path.read_bytes() == content


def test_an_answer_that_cannot_be_written_is_not_recorded(sheet, monkeypatch):
    def full(_file):
        raise OSError(28, "No space left on device")

    with open_ratings(sheet, "anna") as ratings:
        ratings.answer("1", True)
        before = ratings.path.read_bytes()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CcsError, match="No space left on device"):
            ratings.answer("2", True)
        monkeypatch.undo()
        assert ratings.path.read_bytes() == before and ratings.answers == {"1": True}
        ratings.answer("2", False)
    assert read_ratings(sheet, ratings.path) == {"1": True, "2": False}


def keys(*typed):
    """What `input` gives for these keys, then the end of the input."""
    left = iter(typed)

    def read():
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return read


def test_the_terminal_asks_undoes_and_ends(sheet):
    console = Console(file=io.StringIO(), width=100)
    with open_ratings(sheet, "anna") as ratings:
        rate(ratings, console, keys("u", "y", "N", "what", "undo", " yes ", "q", "y"))
        assert list(ratings.answers.values()) == [True, True]
        shown = console.file.getvalue()
        assert "There is no answer to undo" in shown and "Type y, n, u or q" in shown and "2 of 100 answered" in shown
        for item in sheet.items[:3]:
            assert item.description in shown and item.label in shown
        assert sheet.items[3].description not in shown
        rate(ratings, console, keys(*"n" * 98))
    assert "All are answered" in console.file.getvalue()


def test_the_terminal_obeys_no_text_of_a_sheet(tmp_path):
    (tmp_path / "s.csv").write_text("item,description,label\n1,[red]\x1b[2Jboo[/red],[link=x]y\n")
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with open_ratings(read_sheet(tmp_path / "s.csv"), "anna") as ratings:
        rate(ratings, console, keys("y"))
    assert (
        "[red]" in console.file.getvalue() and "\x1b[2J" not in console.file.getvalue() and "[link=x]y" in console.file.getvalue()
    )


def test_findings_equal_the_libraries_on_the_same_answers(sheet, runs):
    answer_all(sheet, "anna", lambda item: int(item.name) % 7 > 0 and "red" not in item.description)
    answer_all(sheet, "ben", lambda item: int(item.name) % 3 > 0)
    findings = study_findings([sheet.path], resamples=50)
    assert [(f.first, f.second, f.model) for f in findings] == [
        (first, second, model)
        for first, second in (("judge", "anna"), ("judge", "ben"), ("anna", "ben"))
        for model in (*dict.fromkeys(origin.model for origin in read_key(sheet)), "all")
    ]
    given = {rater: read_ratings(sheet, path) for rater, path in raters(sheet.path).items()}
    judge = {origin.item: origin.verdict == "aligned" for origin in read_key(sheet)}
    models = {origin.item: origin.model for origin in read_key(sheet)}
    for finding in findings:
        items = [name for name in judge if finding.model in (models[name], "all")]
        first, second = (
            [(judge if who == "judge" else given[who])[name] for name in items] for who in (finding.first, finding.second)
        )
        assert finding.agreement.count == len(items) and finding.left_out == 0
        assert finding.agreement.kappa.value == pytest.approx(cohen_kappa_score(first, second))
    judged = {finding.model: finding for finding in findings if finding.second == "anna"}
    assert judged["vitb32_openai"].paper["kappa"] == 0.757 and judged["all"].paper is None
    assert next(finding for finding in findings if finding.first == "anna").paper is None


def test_a_perfect_rater_agrees_perfectly_and_half_a_rating_is_counted(sheet):
    judge = {origin.item: origin.verdict == "aligned" for origin in read_key(sheet)}
    answer_all(sheet, "anna", lambda item: judge[item.name])
    with open_ratings(sheet, "ben") as ratings:
        for item in sheet.items[:30]:
            ratings.answer(item.name, judge[item.name])
    findings = study_findings([sheet.path], resamples=50)
    for finding in findings:
        assert finding.agreement.kappa.value == pytest.approx(1) and finding.agreement.raw.value == 1
    overall = {finding.second: finding for finding in findings if finding.model == "all" and finding.first == "judge"}
    assert (overall["anna"].agreement.count, overall["anna"].left_out) == (100, 0)
    assert (overall["ben"].agreement.count, overall["ben"].left_out) == (30, 70)
    assert study_findings([sheet.path], ["ben"], resamples=50) == [
        f for f in findings if f.second == "ben" and f.first == "judge"
    ]


def test_judges_of_the_same_descriptions_are_compared(runs, tmp_path):
    (finding,) = judge_findings(read_runs([runs["one"], runs["other"]]), resamples=50)
    one, other = ([c.origin.verdict for c in read_runs([runs[name]])[runs[name]]] for name in ("one", "other"))
    assert finding.agreement.count == 320 and finding.left_out == 0
    assert finding.agreement.kappa.value == pytest.approx(cohen_kappa_score(one, other))
    assert finding.agreement.raw.value == 300 / 320
    write_run(tmp_path / "gaps", distinct_rows("vitb32_openai", unjudged=("L8.H3", "L9.H9")), dataset=None)
    (finding,) = judge_findings(read_runs([runs["one"], str(tmp_path / "gaps")]), resamples=50)
    assert (finding.agreement.count, finding.left_out, finding.agreement.raw.value) == (318, 2, 1)
    with pytest.raises(CcsError, match="no description under the same label"):
        judge_findings(read_runs([runs["one"], runs["two"]]))


def test_the_written_table_holds_the_findings(sheet, tmp_path):
    answer_all(sheet, "anna", lambda item: True)
    findings = study_findings([sheet.path], resamples=50)
    table, text = write_findings(findings, tmp_path)
    rows = read_csv(table, COLUMNS)
    assert len(rows) == len(findings) == 3
    for row, finding in zip(rows, findings, strict=True):
        assert row["count"] == str(finding.agreement.count) and row["spearman"] is None
        assert float(row["raw"]) == pytest.approx(finding.agreement.raw.value, abs=1e-6) and float(row["yes_second"]) == 1
        assert "the second rater says yes throughout" in row["note"]
    assert "paper, Table 2" in text.read_text() and "0.757" in text.read_text()


def test_markdown_holds_any_name(tmp_path):
    rows = [row | {"model": "a|b <i>`x`"} for row in distinct_rows()]
    write_run(tmp_path / "run", rows, dataset=None)
    drawn = draw(read_runs([tmp_path / "run"]), 5, 0)
    write_study(tmp_path / "s.csv", drawn.items, drawn.origins)
    answer_all(read_sheet(tmp_path / "s.csv"), "anna", lambda item: True)
    lines = markdown(study_findings([tmp_path / "s.csv"], resamples=20)).splitlines()
    (line,) = [line for line in lines if "judge – anna" in line and line.startswith("|")]
    assert line.replace("\\|", "").count("|") == 10 and "\\<i\\>\\`x\\`" in line


def test_a_sheet_is_not_overwritten(sheet, runs):
    drawn = draw(read_runs([runs["one"]]), 5, 0)
    with pytest.raises(CcsError, match="is there already"):
        write_study(sheet.path, drawn.items, drawn.origins)
    with pytest.raises(CcsError, match=r"ends in \.csv"):
        write_study(sheet.path.with_suffix(""), drawn.items, drawn.origins)


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


BAD = {
    "no such run": (["draw", "{tmp}/none", "--out", "{tmp}/new.csv"], "there is no such file"),
    "a run twice": (["draw", "{tmp}/one", "{tmp}/../{name}/one", "--out", "{tmp}/new.csv"], "given more than once"),
    "published scores": (["draw", "{tmp}/published", "--out", "{tmp}/new.csv"], "has no verdicts to compare"),
    "nothing judged": (["draw", "{tmp}/unjudged", "--out", "{tmp}/new.csv"], "has no verdicts to compare"),
    "empty run": (["draw", "{tmp}/empty", "--out", "{tmp}/new.csv"], "has no verdicts to compare"),
    "none wanted": (["draw", "{tmp}/one", "--per-run", "0", "--out", "{tmp}/new.csv"], "--per-run 0"),
    "no ratings": (["report", "{tmp}/study.csv"], "There are no ratings beside"),
    "unknown rater": (["report", "{tmp}/study.csv", "--rater", "zoe"], "no ratings of zoe"),
    "a sheet twice": (["report", "{tmp}/study.csv", "{tmp}/study.csv"], "given more than once"),
    "no sheet": (["rate", "{tmp}/none.csv", "--rater", "anna"], "there is no such file"),
    "the key as sheet": (["rate", "{tmp}/study.key.csv", "--rater", "anna"], "lacks the columns description, label"),
    "an empty sheet": (["rate", "{tmp}/bare.csv", "--rater", "anna"], "has no items to rate"),
    "nowhere to write": (["draw", "{tmp}/one", "--out", "/proc/study.csv"], "Choose another place with --out"),
    "one run": (["compare", "{tmp}/one"], "two runs or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_paragraph(name, sheet, tmp_path, monkeypatch, capsys):
    from ccs_exp.agreement.command import main

    published = [row | {f"verdict_{n}": None for n in range(1, 6)} for row in distinct_rows()]
    write_run(tmp_path / "published", published, dataset=None)
    silent = [
        row | {f"verdict_{n}": "unjudged" for n in range(1, 6)} | {"ccs": None, "ccs_class": None} for row in distinct_rows()
    ]
    write_run(tmp_path / "unjudged", silent, dataset=None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "heads.csv").write_text((tmp_path / "one" / "heads.csv").read_text().splitlines()[0] + "\n")
    (tmp_path / "bare.csv").write_text("item,description,label\n")
    arguments, message = BAD[name]
    monkeypatch.setattr(sys, "argv", ["agreement", *(part.format(tmp=tmp_path, name=tmp_path.name) for part in arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert message in str(caught.value) and str(caught.value).startswith("Error: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "new.csv").exists()


def test_a_key_or_sheet_that_was_changed_is_refused(sheet):
    answer_all(sheet, "anna", lambda item: True)
    key = key_path(sheet.path)
    good = key.read_text()
    for old, new, message in (
        ("not_aligned", "perhaps", "verdict is 'perhaps'"),
        (sheet.digest, "0" * 16, "belongs to another sheet"),
        ("L9.H0,", "L9.H0,x", "is damaged"),
    ):
        key.write_text(good)
        edit(key, old, new)
        with pytest.raises(CcsError, match=message):
            study_findings([sheet.path])
    key.write_text("\n".join(good.splitlines()[:-3]) + "\n")
    with pytest.raises(CcsError, match="does not know every item"):
        study_findings([sheet.path])
    key.unlink()
    with pytest.raises(CcsError, match="is missing: the key"):
        study_findings([sheet.path])
    key.write_text(good)
    edit(sheet.path, sheet.items[0].description, "something else")
    with pytest.raises(CcsError, match="changed after the draw"):
        study_findings([sheet.path])


def rated(answers, cwd):
    command = [sys.executable, "-m", "ccs_exp", "agreement", "rate", "s.csv", "--rater", "anna"]
    return subprocess.run(command, cwd=cwd, input=answers, capture_output=True, text=True, errors="surrogateescape", check=False)


def test_the_commands_from_draw_to_report(runs, tmp_path):
    done = ccs_exp("agreement", "draw", "one", "two", "--per-run", "10", "--stratify", "ccs", "--out", "s.csv", cwd=tmp_path)
    assert done.returncode == 0 and "20 items to rate" in done.stdout and "2 unjudged left out" in done.stdout, done.stderr
    done = rated("y\nn\nq\n", tmp_path)
    assert done.returncode == 0 and "2 of 20 answered" in done.stdout, done.stderr
    done = rated("\udcff\n" + "y\nn\n" * 9, tmp_path)
    assert "All are answered" in done.stdout
    done = ccs_exp("agreement", "report", "s.csv", "--resamples", "200", cwd=tmp_path)
    assert done.returncode == 0 and "judge –" in done.stdout, done.stderr
    with open(tmp_path / "agreement.csv", encoding="utf-8") as file:
        assert [row["count"] for row in csv.DictReader(file)] == ["10", "10", "20"]
    assert Path(tmp_path / "agreement.md").read_text().startswith("# Agreement")
