"""A whole job that ranks people: its files, page and record agree, and settings that cannot be are refused."""

import json
import re

import pytest
from people_copies import fairface_archive

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.report.skew import skew_view
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import read_summary
from ccs_exp.tracking.content import numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    (root / "occupations.txt").write_text("baker\ndoctor\njudge\nnurse\n")
    small = (
        f"dataset.path={fairface_archive(root, 40)}",
        f"dataset.occupations={root}/occupations.txt",
        "dataset.source.samples=40",
    )
    chosen = ("dataset.top_k=10", "prune=[high_ccs,random,matched]", "prune.matched.draws=5", "probe.num_images=100")
    run(configure("dataset=fairface", *small, *chosen, "tracker=none"), Job(str(root / "run")))
    return RunFolder(root / "run")


def test_files_page_and_record_agree(folder):
    skew, means = (read_evidence(folder.path, name) for name in ("skew.csv", "skew_means.csv"))
    assert len(skew) == 3 * 5 * 4 and set(skew["k"]) == {10} and set(skew["images"]) == {40}
    for of, rows in skew.groupby(["attribute", "condition"]):
        own = means.set_index(["attribute", "condition", "measure"]).loc[of]
        for measure in ("max_skew", "min_skew", "ndkl", "absent", "max_skew_smoothed"):
            assert own.loc[measure, "value"] == pytest.approx(rows[measure].mean(), abs=2e-6)
    sent = numbers(folder, read_summary(folder.path))
    one = means.query("attribute == 'race' and condition == 'high_ccs' and measure == 'max_skew'").iloc[0]
    assert sent["skew/max_skew/race/high_ccs"] == one["value"] and sent["skew_delta/max_skew/race/high_ccs"] == one["delta"]
    assert "skew_delta/max_skew/race/original" not in sent and "accuracy/gender/high_ccs" in sent
    (summary,) = [
        row for row in json.loads((folder.path / "summary.json").read_text())["evidence"]["skew"] if row["attribute"] == "race"
    ]
    assert summary["value"] == one["value"] and summary["matched_sets"] == 5
    page = (folder.path / "report.html").read_text()
    assert page.count('class="interval dumbbell"') == 3 * 4  # original, high, the means of random and of matched sets
    assert "This measures a model, no person." in page and "Silencing high_ccs changes MaxSkew of race by" in page
    assert (folder.path / "figures/skew.png").exists() and len(skew_view(folder.path)) == 3
    accuracy, groups = folder.read_accuracy(), read_evidence(folder.path, "group_accuracy.csv")
    top1 = accuracy.query("task == 'gender' and condition == 'original' and metric == 'top1'")["value"].iloc[0]
    of_groups = groups.query("attribute == 'gender' and condition == 'original' and of == 'group'")
    assert (of_groups["accuracy"] * of_groups["images"]).sum() / 40 == pytest.approx(top1, abs=1e-5)


def test_the_page_has_no_number_beyond_its_rows(folder):
    """A row that lacks a measure shows a dash; nothing is rounded into a sign that is not there."""
    page = (folder.path / "report.html").read_text()
    section = page[page.index('<section id="skews">') : page.index("<h2>What pruning costs")]
    assert "nan" not in section.lower() and not re.search(r"[+−]0\.00<", section) and "None" not in section


def test_tables_that_no_run_writes_are_an_error(tmp_path):
    for content in ("attribute,measure\nrace,max_skew\n", "a,b\n1,2\n"):
        (tmp_path / "skew_means.csv").write_text(content)
        with pytest.raises(CcsError, match=r"skew_means.csv or group_accuracy.csv is not as a run writes it"):
            skew_view(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("dataset.top_k=5",), "dataset.top_k=5 is of dataset.task=skew"),
        (("dataset=fairface", "dataset.top_k=0"), "dataset.top_k=0: give a number of at least 1"),
        (("dataset.occupations=mine.txt",), "dataset.occupations=mine.txt is not used by dataset=scenes"),
        (("dataset=fairface", "dataset.streaming=true"), "dataset.streaming=true is not used by dataset=fairface"),
        (("dataset=fairface", "dataset.partial=true"), "dataset.partial=true is about a local copy"),
        (("dataset=fairface", "dataset.templates=[\"A photo\"]"), "has no {} where the class name belongs"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(overrides, message):
    with pytest.raises(CcsError, match=re.escape(message)):
        configure(*overrides)


def test_the_experiment_names_six_variants_and_equal_counts():
    cfg = configure("+experiment=bias")
    assert (
        cfg.dataset.task == "skew"
        and cfg.prune.match_count == "min"
        and len(cfg.prune.match_seeds) == 5 == len(cfg.prune.random.seeds)
    )
    assert list(cfg.prune.matched.of) == ["high_ccs", "low_ccs"]
