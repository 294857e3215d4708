"""Run folders beside the paper's numbers: which cell is filled by what, and what the page and its files say."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import pandas
import pytest
from example_run import CHOICES, head_rows, write_retrieval, write_run
from painting import painted
from PIL import Image
from test_report import HOSTILE, Page

from ccs_exp.errors import CcsError
from ccs_exp.report.command import main
from ccs_exp.report.contents import gather
from ccs_exp.report.reproduction.arrange import Reproduction, reproduce
from ccs_exp.report.reproduction.collect import PUBLISHED
from ccs_exp.report.reproduction.contradictions import contradictions
from ccs_exp.report.reproduction.heads import examples
from ccs_exp.report.reproduction.page import other_conditions
from ccs_exp.report.reproduction.paper import load_paper
from ccs_exp.report.reproduction.tables import Table
from ccs_exp.report.reproduction.write import FILES, write_reproduction
from ccs_exp.statistics.intervals import holm

AUTHORS = CHOICES | {"ccs": "published", "protocol": "paper", "random_layers": None}
CONDITIONS = {"original": (0, 0.86), "high_ccs": (9, 0.4), "low_ccs": (19, 0.85)}
CONDITIONS |= {f"random/{seed}": (9, 0.80 + 0.01 * seed) for seed in range(3)}
CONDITIONS |= {f"matched/high_ccs/{number}": (9, 0.75) for number in range(300)}


def aged(path: Path, seconds: float) -> None:
    os.utime(path / "summary.json", (1e9 + seconds, 1e9 + seconds))


def page_of(found: Reproduction, folder: Path) -> tuple[str, Page]:
    text = write_reproduction(found, folder).read_text(encoding="utf-8")
    return text, Page(text)


def table_named(found: Reproduction, name: str) -> Table:
    (table,) = [table for table in found.tables if table.name == name]
    return table


def entry_of(table: Table, model: str, dataset: str, condition: str):
    (entry,) = [e for m, e in table.entries if (m, e.dataset, e.condition) == (model, dataset, condition)]
    return entry


@pytest.fixture(scope="module")
def table4(tmp_path_factory) -> Path:
    """Table 4 for two models, and scores of one of them."""
    root = tmp_path_factory.mktemp("table4")
    for model in ("vitb32_openai", "vitl14_laion"):
        for dataset in ("cifar10", "cifar100", "food101"):
            write_run(root / "sweep" / f"{model}-{dataset}", head_rows(model=model), CONDITIONS, 60, dataset=dataset, choices=AUTHORS)
    write_run(root / "scores", head_rows(model="vitb32_openai"), dataset=None, choices=CHOICES)
    return root


@pytest.fixture(scope="module")
def four(table4) -> Reproduction:
    return reproduce([table4])


@pytest.fixture(scope="module")
def written(four, tmp_path_factory) -> Path:
    with painted():
        return write_reproduction(four, tmp_path_factory.mktemp("written")).parent


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("accuracy", "paper_accuracy"),
        ("ccs_at_k", "paper_ccs_at_k"),
        ("openclip_accuracy",) * 2,
        ("agreement", "paper_agreement"),
    ],
)
def test_the_paper_s_numbers_are_the_paper_s(shared, ours, theirs):
    assets = Path(__file__).parents[2] / "ccs_exp" / "assets" / "paper"
    pandas.testing.assert_frame_equal(
        pandas.read_csv(assets / f"{ours}.csv"), pandas.read_csv(shared / "reference" / f"{theirs}.csv")
    )


def test_what_the_text_of_the_paper_says_is_in_the_figures_and_table_1(shared):
    text, paper = (shared / "reference" / "paper.txt").read_text(), load_paper()
    for values in paper.in_text.values():
        assert all(f"{100 * value:.2f}".rstrip("0") in text for value in values.values())
    for row in paper.examples:
        cells = [f'{row["head"]} ("{row["label"]}")', *(row[f"description_{number}"] for number in range(1, 6))]
        assert all(cell in text for cell in cells)


def test_every_table_has_the_paper_s_models_data_sets_and_numbers(four):
    found, paper = four, load_paper()
    shown = {}
    for view, tables in found.views:
        assert [model for model, _, _ in tables[0].rows] == list(paper.models)
        assert tables[0].columns == tuple((dataset, name) for dataset in view.datasets for name in view.conditions)
        if view.name.startswith("table") and not view.equal:
            shown |= {(model, e.dataset, e.condition): e.paper for model, e in tables[0].entries}
    assert shown == paper.values


def test_ours_are_the_runs_own_numbers_and_the_rest_is_missing(table4, four):
    table = table_named(four, "table4")
    assert table.filled == 18 and len(table.entries) == 54
    for model, entry in table.entries:
        path = table4 / "sweep" / f"{model}-{entry.dataset}"
        if not path.exists():
            assert entry.ours is None and entry.delta is None and entry.paper is not None
            continue
        summary = json.loads((path / "summary.json").read_text())
        assert entry.ours == summary["accuracy"][entry.condition]
        delta = None if entry.condition == "original" else pytest.approx(summary["delta"][entry.condition], abs=2e-6)
        assert entry.delta == delta
        assert [run.path for run in entry.runs] == [path]


def test_differences_are_to_the_paper_s_numbers_of_the_same_protocol(four):
    table, paper = table_named(four, "table4"), load_paper()
    key = ("vitb32_openai", "cifar100")
    original, high = (entry_of(table, *key, name) for name in ("original", "high_ccs"))
    assert original.difference == pytest.approx(original.ours - paper.values[*key, "original"])
    assert original.reference == paper.reference[key] and original.other_protocol is None
    theirs = paper.values[*key, "high_ccs"] - paper.values[*key, "original"]
    assert high.difference == pytest.approx(high.delta - theirs) and theirs == pytest.approx(-0.0901)


def test_no_number_stands_beside_one_of_another_protocol_without_a_word(tmp_path):
    """What the authors evaluated in a way of their own has no colour beside protocol=standard; Food-101 is the same in both."""
    heads, choices = head_rows(model="vitb32_openai"), AUTHORS | {"protocol": "standard"}
    for dataset in ("cifar100", "food101"):
        write_run(tmp_path / dataset, heads, CONDITIONS, 60, dataset=dataset, choices=choices)
    found, paper = reproduce([tmp_path]), load_paper()
    table = table_named(found, "table4")
    original, high, alike = (
        entry_of(table, "vitb32_openai", *key) for key in (("cifar100", "original"), ("cifar100", "high_ccs"), ("food101", "high_ccs"))
    )
    assert original.difference == pytest.approx(original.ours - paper.reference["vitb32_openai", "cifar100"])
    assert high.difference is None and high.paper_delta is not None and high.other_protocol == "names with underscores"
    assert alike.difference == pytest.approx(alike.delta - alike.paper_delta) and alike.other_protocol is None
    text, page = page_of(found, tmp_path / "page")
    titles = [attributes.get("title", "") for tag, attributes in page.tags if tag == "td"]
    told = [title for title in titles if "another protocol" in title and "9 heads" in title]
    assert told and all("names with underscores" in title for title in told) and "paper, in its own protocol: 56.07" in text
    assert "[protocol=paper]" in (tmp_path / "page" / "tables.md").read_text().replace("\\", "")


def test_stars_answer_the_matched_sets_and_are_corrected_over_the_table(four):
    entries = [entry for _, entry in table_named(four, "table4").entries]
    tested = [entry for entry in entries if entry.p_matched is not None]
    assert len(tested) == 6 and {entry.condition for entry in tested} == {"high_ccs"}  # two models, three data sets
    assert [entry.adjusted for entry in entries] == holm([entry.p_matched for entry in entries])
    assert {entry.condition_result.matched_sets for entry in tested} == {300}
    assert all(entry.starred == (entry.adjusted < 0.05) for entry in tested) and any(entry.starred for entry in tested)
    assert not any(entry.starred for entry in entries if entry.p_matched is None)


def test_without_matched_sets_nothing_is_starred_however_much_it_costs(tmp_path):
    write_run(tmp_path / "run", head_rows(model="vitb32_openai"), dataset="cifar10", choices=AUTHORS)
    found = reproduce([tmp_path])
    high = entry_of(table_named(found, "table4"), "vitb32_openai", "cifar10", "high_ccs")
    assert high.condition_result.p_original < 1e-6 and not high.starred and high.delta_interval.high < -0.1
    text, _ = page_of(found, tmp_path / "page")
    written = text + (tmp_path / "page" / "tables.md").read_text() + (tmp_path / "page" / "tables.tex").read_text()
    assert not re.search(r"\d\*", written) and "no cell is marked" in text


def test_random_draws_are_a_mean_with_spread_and_an_interval_over_the_draws(table4, four):
    entry = entry_of(table_named(four, "figure2"), "vitb32_openai", "cifar10", "random")
    summary = json.loads((table4 / "sweep" / "vitb32_openai-cifar10" / "summary.json").read_text())
    draws = summary["random"]
    assert (entry.ours, entry.sd) == pytest.approx((draws["mean"], draws["sd"]), abs=2e-6)
    assert entry.draws == 3 and entry.paper is None and entry.p_matched is None
    half = 4.302653 * draws["sd"] / 3**0.5  # Student's, with two degrees of freedom
    assert entry.interval == pytest.approx((draws["mean"] - half, draws["mean"] + half), abs=1e-5)
    assert entry.delta_interval.low < entry.delta < entry.delta_interval.high


def test_half_the_runs_give_half_the_cells_and_the_same_numbers(table4, four, tmp_path):
    whole = table_named(four, "table4")
    some = ["vitb32_openai-cifar10", "vitb32_openai-food101", "vitl14_laion-cifar100"]
    half = reproduce([table4 / "sweep" / name for name in some])
    table = table_named(half, "table4")
    assert table.filled == 9
    for (_, before), (_, after) in zip(whole.entries, table.entries, strict=True):
        assert after.ours in (None, before.ours) and after.paper == before.paper
    text, _ = page_of(half, tmp_path)
    assert "Table 4: 9 of 54" in text and text.count('title="no run"') > 45


def test_the_newer_run_wins_a_quick_look_never_does_and_both_are_said(tmp_path):
    for name, chance, when, more in [
        ("old", 0.5, 0, {"config_hash": "a" * 16}),
        ("new", 0.9, 1, {"config_hash": "b" * 16}),
        ("quick", 0.1, 2, {"choices": AUTHORS | {"limit": 10}}),
    ]:
        write_run(tmp_path / name, head_rows(model="vitb16_laion"), {"original": (0, chance)}, dataset="cifar10",
                  **({"choices": AUTHORS} | more))  # fmt: skip
        aged(tmp_path / name, when)
    found = reproduce([tmp_path])
    entry = entry_of(table_named(found, "table4"), "vitb16_laion", "cifar10", "original")
    assert [run.path.name for run in entry.runs] == ["new"] and entry.ours > 0.8 and not entry.limited
    assert {(item.run.path.name, item.by.path.name) for item in found.book.replaced} == {("quick", "old"), ("old", "new")}
    assert not any(item.same_configuration for item in found.book.replaced)
    text, _ = page_of(found, tmp_path / "page")
    assert "Not shown, because another run has the same cells" in text and "dataset.limit" in text


def test_runs_that_do_not_compare_stand_in_tables_of_their_own(tmp_path):
    kinds = {
        "published": AUTHORS,
        "computed": CHOICES,
        "judge": CHOICES | {"judge": "openai", "judge_model": "gpt-4o"},
        "protocol": AUTHORS | {"protocol": "standard"},
        "equal": AUTHORS | {"match_count": "min"},
        "unknown": None,
    }
    for name, choices in kinds.items():
        write_run(tmp_path / name, head_rows(model="vitb16_laion"), dataset="cifar10", choices=choices)
    found = reproduce([tmp_path])
    tables = [table for table in found.tables if table.name == "table4"]
    assert sorted(table.filled for table in tables) == [3] * 5 and len({table.edition for table in tables}) == 5
    (equal,) = [table for table in found.tables if table.name == "figure2_equal"]
    assert equal.filled == 4 and not found.book.replaced
    assert any("judge openai gpt-4o" in str(table.edition) for table in tables)


def test_equal_counts_are_means_over_draws(tmp_path):
    conditions = {"original": (0, 0.9), "low_ccs": (4, 0.8)}
    conditions |= {f"{name}/{seed}": (4, 0.6 + 0.02 * seed) for name in ("high_ccs", "random") for seed in range(5)}
    choices = AUTHORS | {"match_count": "min"}
    write_run(tmp_path, head_rows(model="vitb16_laion"), conditions, dataset="food101", choices=choices)
    table = table_named(reproduce([tmp_path]), "figure2_equal")
    high, low, random = (entry_of(table, "vitb16_laion", "food101", name) for name in ("high_ccs", "low_ccs", "random"))
    assert (high.draws, low.draws, random.draws) == (5, 0, 5) and high.sd and low.sd is None and low.condition_result.lost is not None
    assert high.delta_interval.low < high.delta < high.delta_interval.high


def test_the_same_name_with_other_weights_is_another_model(tmp_path):
    weights = {"old": {"sha256": "0" * 64}, "new": {"sha256": "f" * 64}, "random": {"sha256": None}}
    for when, (name, entry) in enumerate(weights.items()):
        more = {"weights": {"origin": name} | entry, "choices": AUTHORS}
        write_run(tmp_path / name, head_rows(model="vitb16_laion"), dataset="cifar10", **more)
        aged(tmp_path / name, when)
    found = reproduce([tmp_path])
    assert {run.path.name: run.model for run in found.collection.runs} == {
        "old": "vitb16_laion (00000000)", "new": "vitb16_laion", "random": "vitb16_laion (random weights)",
    }  # fmt: skip
    entry = entry_of(table_named(found, "table4"), "vitb16_laion", "cifar10", "original")
    assert [run.path.name for run in entry.runs] == ["new"]
    (other,) = found.others
    assert {model for model, _, _ in other.rows} == {"vitb16_laion (00000000)", "vitb16_laion (random weights)"}


def test_what_is_unfinished_or_damaged_is_told_and_the_rest_shown(table4, tmp_path, capsys):
    shutil.copytree(table4 / "sweep", tmp_path / "runs")
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    (tmp_path / "runs" / names[0] / "summary.json").unlink()
    (tmp_path / "runs" / names[0] / ".hydra").mkdir()
    (tmp_path / "runs" / names[0] / ".hydra" / "overrides.yaml").write_text("- model=<b>\n- dataset=cifar10\n")
    damage = [
        lambda path: (path / "summary.json").write_text("{"),
        lambda path: (path / "predictions.parquet").write_bytes(b"PAR1"),
        lambda path: (path / "heads.csv").unlink(),
        lambda path: (path / "summary.json").write_text('{"schema_version": 0}'),
    ]
    for name, spoil in zip(names[1:5], damage, strict=True):
        spoil(tmp_path / "runs" / name)
    main([str(tmp_path / "runs"), "--output", str(tmp_path / "page")])
    printed = capsys.readouterr()
    assert "1 runs, 1 unfinished, 4 damaged" in printed.out and printed.err.count("Damaged: ") == 4
    page = (tmp_path / "page" / "reproduction.html").read_text()
    assert "model=&lt;b&gt; dataset=cifar10" in page and "is of schema version 0" in page and "4 run folders are damaged" in page


@pytest.mark.parametrize(
    ("key", "value"), [("accuracy", [1]), ("random", 3), ("warnings", "none"), ("skipped", {}), ("unjudged", "0"), ("dataset", 3)]
)
def test_a_summary_of_other_kinds_is_damage(tmp_path, key, value):
    write_run(tmp_path / "good")
    write_run(tmp_path / "bad", **({key: value} if key != "dataset" else {}))
    summary = json.loads((tmp_path / "bad" / "summary.json").read_text()) | {key: value}
    (tmp_path / "bad" / "summary.json").write_text(json.dumps(summary))
    found = reproduce([tmp_path])
    assert len(found.collection.runs) == 1 and key in found.collection.damaged[0][1]


@pytest.mark.parametrize(("make", "message"), [(False, "is not a folder"), (True, "No run of ccs_exp lies below")])
def test_folders_without_runs_are_an_error(tmp_path, make, message):
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    with pytest.raises(CcsError, match=message):
        reproduce([folder])
    with pytest.raises(SystemExit, match=f"Error: .*{message}"):
        main([str(folder)])


def test_hostile_names_are_text_in_every_file(tmp_path):
    rows = head_rows(model="</style><script>alert(1)</script>|&%$_\\")
    for row, text in zip(rows, HOSTILE, strict=False):
        row |= {"label": text, "description_1": text, "ccs": 5, "ccs_class": "high"}
    dataset = "<img src=x onerror=alert(1)>|_\x1b[31m"
    write_run(tmp_path / "run", rows, dataset=dataset, choices=CHOICES, warnings=["<b>careful</b>"])
    with painted():
        text, page = page_of(reproduce([tmp_path]), tmp_path / "page")
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and tags.count("style") == 1 and "b" not in tags
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r"data:image/png;base64,[\w+/=]+", "", text))
    (policy,) = [item["content"] for tag, item in page.tags if item.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert {attributes["href"][0] for tag, attributes in page.tags if tag == "a"} <= {"#", "c", "t"}
    markdown = (tmp_path / "page" / "tables.md").read_text()
    for line in markdown.splitlines():
        assert "<script" not in line.replace("\\<", "") and "\x1b" not in line
    for block in markdown.split("## "):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines() if line.startswith("|")}
        assert len(bars) <= 1  # an unescaped bar would add a column
    latex = (tmp_path / "page" / "tables.tex").read_text()
    hostile = next(line for line in latex.splitlines() if "alert(1)" in line)
    assert r"\&\%\$\_\textbackslash" in hostile.replace(" ", "")
    with open(tmp_path / "page" / "cells.csv", newline="", encoding="utf-8") as file:
        assert any(row["model"] == rows[0]["model"] for row in csv.DictReader(file))


def test_the_same_runs_give_the_same_files(table4, written, tmp_path):
    with painted():
        write_reproduction(reproduce([table4, table4 / "sweep"]), tmp_path)
    assert all((written / name).read_bytes() == (tmp_path / name).read_bytes() for name in FILES)


def test_the_csv_has_every_cell_once_and_says_what_the_table_says(four, written):
    found, rows = four, pandas.read_csv(written / "cells.csv")
    assert len(rows) == sum(len(table.entries) for table in found.tables) + 72 + 9  # table 3 of two sources, table 2
    assert not rows.duplicated(["table", "scores", "protocol", "model", "dataset", "condition"]).any()
    cell = rows[
        (rows.table == "table4") & (rows.model == "vitl14_laion") & (rows.condition == "high_ccs") & (rows.dataset == "food101")
    ]
    entry = entry_of(table_named(found, "table4"), "vitl14_laion", "food101", "high_ccs")
    for column, value in [("ours", entry.ours), ("delta", entry.delta), ("p_original", entry.condition_result.p_original),
                          ("p_matched", entry.p_matched), ("p_matched_holm", entry.adjusted), ("delta_low", entry.delta_interval.low),
                          ("paper", 0.8645), ("paper_delta", 0.8645 - 0.9102), ("difference", entry.difference)]:  # fmt: skip
        assert cell[column].item() == pytest.approx(value, abs=1e-6)
    at_k = rows[(rows.table == "table3") & (rows.model == "vitb32_openai") & rows.scores.str.startswith("labeler")]
    assert at_k["ours"].sum() == pytest.approx(1, abs=1e-5) and at_k["paper"].tolist() == [
        0.021,
        0.062,
        0.167,
        0.271,
        0.312,
        0.167,
    ]


def test_markdown_and_latex_are_in_the_paper_s_arrangement(written):
    markdown, latex = ((written / name).read_text() for name in ("tables.md", "tables.tex"))
    part = markdown.split("## Table 4", 1)[1].split("##")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1 and "CIFAR-10 High CCS" in lines[0]
    assert "75.68" in part and "71.31 (-4.37)" in part and "89.83" in part
    assert (
        "L23" not in markdown
        and markdown.count("## Table 1") == 2
        and "0.757" in markdown.split("## Table 2", 1)[1].split("##")[0]
    )
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == markdown.count("## ")
    assert not set("–±≤") & set(latex) and r"$\leq$" in latex and r"$\pm$" in latex
    assert r"\multicolumn{3}{c}{CIFAR-10}" in latex and "71.31 (-4.37)" in latex


def test_figures_are_pictures(written):
    page = Page((written / "reproduction.html").read_text(encoding="utf-8"))
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 3  # figure 2, the others have no run; concepts over layers of the authors' sets and of the run with scores
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture.split(",", 1)[1]))) as image:
            assert image.format == "PNG" and min(image.size) > 200


def test_concepts_retrieval_single_heads_and_other_conditions_have_their_places(tmp_path):
    heads = head_rows(model="vitb16_openai")
    concepts = {"original": (0, 0.23), "concept/locations": (1, 0.14), "concept/animals": (0, 0.23), "concept/food": (2, 0.2)}
    write_run(tmp_path / "figure3", heads, concepts, dataset="country211", choices=AUTHORS)
    singles = {"original": (0, 0.9)} | {f"head/{row['head']}": (1, 0.8) for row in heads[:5]} | {"heads/mine": (2, 0.85)}
    write_run(tmp_path / "single", heads, singles, dataset="digits", choices=AUTHORS)
    folder = write_run(tmp_path / "video", heads, {"original": (0, 0.3)}, dataset="msrvtt", choices=AUTHORS, metric="t2v_R@1")
    ranks = {"original": (0, [1] * 20 + [7] * 20), "high_ccs": (4, [1] * 10 + [7] * 30)}
    write_retrieval(folder, ranks)
    found = reproduce([tmp_path])
    figure3 = table_named(found, "figure3")
    locations, animals = (
        entry_of(figure3, "vitb16_openai", "country211", f"concept/{name}") for name in ("locations", "animals")
    )
    assert locations.paper == 0.1409 and locations.num_pruned == 1 and animals.empty and animals.paper is None
    high = entry_of(table_named(found, "figure5"), "vitb16_openai", "msrvtt", "high_ccs")
    assert (high.metric, high.condition_result.lost, high.condition_result.gained, high.paper) == ("t2v_R@1", 10, 0, None)
    text, _ = page_of(found, tmp_path / "page")
    assert "concept/food" in text and "5 heads pruned one at a time" in text and "heads/mine" in text and "no such head" in text


def test_no_condition_of_any_run_is_left_out(tmp_path):
    """Each condition stands in a table, or among the other conditions, wherever the paper shows its data set or not."""
    everything = {
        "original": (0, 0.9),
        "high_ccs": (3, 0.8),
        "low_ccs": (3, 0.8),
        "random/0": (3, 0.8),
        "concept/colors": (3, 0.8),
    }
    for dataset in ("cifar10", "country211", "cifar10_objects", "cifar10_animals", "digits"):
        for model in ("vitb16_laion", "tiny"):
            for equal in (None, "min"):
                choices = AUTHORS | {"match_count": equal}
                path = tmp_path / f"{model}-{dataset}-{equal}"
                write_run(path, head_rows(1, 4, model), everything, 20, dataset=dataset, choices=choices)
    found = reproduce([tmp_path])
    shown = {(table.edition, model, e.dataset, e.condition) for table in found.tables for model, e in table.entries if e.runs}
    for extra in other_conditions(found):
        shown |= {(extra["edition"], extra["model"], extra["dataset"], c.condition.name.split("/0")[0]) for c in extra["cells"]}
    for run in found.collection.runs:
        names = {name.split("/0")[0] for name in everything}
        assert {name for *key, name in shown if key == [run.edition, run.model, run.dataset]} == names, run.path


def test_agreement_files_stand_beside_table_2(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "agreement.csv").write_text("model,kappa,spearman,kendall\nvitb16_laion,0.5,0.51,\ntiny,0.2,0.3,0.3\n")
    text, _ = page_of(reproduce([tmp_path]), tmp_path / "page")
    section = text.split('id="table2"', 1)[1].split("</section>")[0]
    assert "0.500" in section and "paper 0.676" in section and ">tiny<" in section and section.count("no agreement.csv") == 2


def test_table_1_is_drawn_by_its_seed_from_each_class(four, written):
    (drawn,), (other,) = ([table for name, table in examples(four.book, seed).items() if name != PUBLISHED] for seed in (0, 1))
    assert drawn == next(table for name, table in examples(four.book, 0).items() if name != PUBLISHED) != other
    for title, fits in [("High CCS", {5}), ("Moderate CCS", {3}), ("Low CCS", {0, 1})]:
        aligned = [sum(verdict == "aligned" for _, verdict in head.described) for head in drawn if head.title == title]
        assert len(aligned) == 3 and set(aligned) <= fits
    section = (written / "reproduction.html").read_text().split('id="table1"', 1)[1].split("</section>")[0]
    assert section.count("“") == 27 and "L23.H11 (“People”)" in section  # nine each of two sources, and the paper's


def test_what_the_authors_head_sets_and_the_paper_do_not_agree_on():
    found = contradictions(load_paper())
    assert any("L23.H3 of ViT-L-14-LAION is published as a head of objects, but is moderate" in text for text in found)
    (table_1,) = [text for text in found if text.startswith("Table 1")]
    assert "L11.H0 (Locations) as moderate" in table_1 and table_1.count("ViT-B") == 4
    assert "moderate" not in table_1.partition("nowhere:")[2]
    missing = {text.split(" are published")[0] for text in found if text.startswith("No heads of")}
    assert missing == {"No heads of objects", "No heads of animals"} and len(found) == 4


def test_concepts_over_layers_count_every_labelled_head(tmp_path):
    rows = head_rows(model="vitb16_laion")
    write_run(tmp_path / "run", rows, dataset=None, choices=CHOICES)
    found = reproduce([tmp_path]).layers
    (mine,) = next(models for scores, models in found.items() if scores != PUBLISHED)
    colours = [row for row in rows if row["label"] == "colors"]
    for layer in mine.layers:
        here = [row for row in colours if row["layer"] == layer]
        assert mine.concepts["colors"][layer] == (sum(row["ccs_class"] == "high" for row in here), len(here))
    assert mine.mean_layer["colors"] == pytest.approx(sum(row["layer"] for row in colours) / len(colours))
    of_large = next(model for model in found[PUBLISHED] if model.title == "ViT-L-14-LAION")
    assert of_large.concepts["objects"] == {23: (0, 1)} and len(found[PUBLISHED]) == 6


def test_shares_of_all_heads_stand_beside_those_of_the_judged(tmp_path):
    rows = head_rows(model="vitb16_laion", unjudged=("L9.H3", "L8.H1"))
    write_run(tmp_path / "run", rows, dataset=None, choices=CHOICES)
    found = reproduce([tmp_path])
    (row,) = [row for rows in found.at_k.values() for row in rows if row.run]
    assert (row.heads, row.of) == (62, 64) and sum(row.ours) == pytest.approx(1, abs=1e-5)
    assert sum(row.of_all) == pytest.approx(62 / 64, abs=1e-5)
    text, _ = page_of(found, tmp_path / "page")
    assert "62 of 64" in text and f"of all {row.of_all[5]:.3f}" in text
    assert "of all 64 heads" in (tmp_path / "page" / "tables.md").read_text()
    with open(tmp_path / "page" / "cells.csv", newline="") as file:
        (cell,) = [row for row in csv.DictReader(file) if row["condition"] == "CCS@5 of all heads"]
    assert float(cell["ours"]) == pytest.approx(row.of_all[5], abs=1e-6)
    assert "Of all 64, as the paper defines it" in gather(tmp_path / "run").over_all_heads
