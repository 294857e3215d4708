"""A job's evidence, as files and findings."""

import json

import numpy as np
import pytest

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.notebook import Evidence
from ccs_exp.report.contents import gather
from ccs_exp.report.evidence import causal_map_view, findings
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.folder import RunFolder

HEADS, TASKS = 32, ("shape", "colour", "texture", "size", "place", "count", "background")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    small = ("dataset.source.num_images=140", "probe.num_images=250", "prune.matched.draws=2", "evidence.sufficiency=true")
    small += ("evidence.stability=true", "evidence.other_probe={seed: 4}")
    run(configure("tracker=none", *small), Job(str(path)))
    return RunFolder(path)


def test_the_map_has_every_head_and_task_and_holm_is_no_smaller(folder):
    cells = read_evidence(folder.path, "causal_map.csv")
    assert len(cells) == HEADS * len(TASKS) and set(cells["task"]) == {f"scenes/{task}" for task in TASKS}
    assert (cells["p_holm"] >= cells["p"] - 1e-9).all() and (cells["cost_low"] <= cells["cost_high"]).all()
    view = causal_map_view(gather(folder.path))
    assert len(view.rows) == HEADS and {len(row.cells) for row in view.rows} == {len(TASKS)}


def test_costs_are_those_of_the_predictions(folder):
    rows, effects = folder.read_predictions(), read_evidence(folder.path, "effects.csv")
    means = rows.groupby(["task", "condition"], observed=True)["margin"].mean()
    of = effects.query("measure == 'margin' and task == 'colour'").set_index("condition")["cost"]
    for condition in ("high_ccs", "head/L5.H6"):
        assert of[condition] == pytest.approx(means["colour", "original"] - means["colour", condition], abs=2e-5)


def test_heads_are_told_with_all_that_was_found(folder):
    table = read_evidence(folder.path, "evidence.csv")
    assert len(table) == HEADS and table["most_affected"].notna().all() and table["intruder_found"].between(0, 1).all()
    known = table[table["label_represents"].notna()]
    assert len(known) == HEADS  # the scenes' tasks test every concept that their labels name
    detected = read_evidence(folder.path, "detection.csv").query("is_label == 'True'")
    assert detected["area"].between(0, 1).all() and len(detected) == HEADS
    represents = read_evidence(folder.path, "represents.csv")
    assert len(represents) == HEADS * len(TASKS) and represents.groupby("head")["null95"].nunique().max() == 1


def test_what_comes_again_is_told_of_the_halves_and_of_another_probe(folder):
    table, heads = read_evidence(folder.path, "stability.csv"), read_evidence(folder.path, "evidence.csv")
    halves = table[table["probe"] == "other half"].reset_index(drop=True)
    assert len(halves) == HEADS and set(table["probe"]) == {"other half", "scenes, seed=4"}
    assert (halves["same_descriptions"] == heads["same_descriptions"]).all() and 0 < halves["same_descriptions"].mean() < 1
    told = {item["probe"]: item for item in folder.read_summary()["evidence"]["stability"]}
    assert told["other half"]["descriptions"]["value"] == pytest.approx(halves["same_descriptions"].mean(), abs=1e-6)
    low, high = told["scenes, seed=4"]["label"]["interval"]
    assert low <= told["scenes, seed=4"]["label"]["value"] <= high


def test_five_principal_directions_leave_no_less_than_random_ones(folder):
    table = read_evidence(folder.path, "sufficiency.csv")
    together = table[table["head"].isna()].groupby("replacement")["margin"].mean()
    assert together["means"] < together["descriptions"] and together["random"] < together["principal"]


def test_the_findings_say_the_numbers(folder):
    summary = json.loads((folder.path / "summary.json").read_text())
    told = " ".join(findings(summary["evidence"]))
    evidence = summary["evidence"]
    assert f"p {evidence['ccs_against_cost']['p']:.3f}" in told and evidence["heads"][0]["head"] in told
    share = evidence["labels_right"]["most_affected"]["all"]
    assert share["tested"] + share["untested"] == HEADS and "labels dealt out at random" in told
    page = (folder.path / "report.html").read_text()
    assert "Does the score say what the head does?" in page and (folder.path / "figures" / "causal_map.png").exists()
    assert np.isfinite(evidence["nulls"][0]["cost"])


def test_a_notebook_has_the_same_tables_and_a_plot_in_one_call():
    import ccs_exp
    from ccs_exp.evidence import causal_map  # a room of the same name does not take the function's place

    small = ("dataset.source.num_images=70", "probe.num_images=100", "prune.matched.draws=2")
    found = ccs_exp.evidence(ccs_exp.load_model("tiny"), "scenes", *small, progress=False)
    assert tuple(found["causal_map"].columns) == causal_map.COLUMNS and len(found["causal_map"]) == HEADS * len(TASKS)
    assert {"evidence", "represents", "effects", "nulls", "detection"} <= set(found) and found.summary["heads"]
    assert "CCS" in repr(found) and "represents (224 rows)" in repr(found)
    (axes,) = found.plot().axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(TASKS)
    with pytest.raises(CcsError, match="takes every scored head alone"):
        Evidence({}, {}).plot()
    with pytest.raises(CcsError, match="name a data set"):
        ccs_exp.evidence(ccs_exp.load_model("tiny"), "none")
