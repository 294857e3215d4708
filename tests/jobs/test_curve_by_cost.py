"""Orders by what each head alone costs: measured first, on one half of the images where that is asked for."""

import numpy as np
import pytest

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.statistics.resampling import chosen_half

CURVE = ("prune=[curve,each_head]", "prune.curve.orders=[cost,random]", "prune.curve.seeds=[0]", "prune.curve.steps=8")
SMALL = ("dataset=scenes_colour", "dataset.source.num_images=80", "probe.num_images=100", "tracker=none", *CURVE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    run(configure(*SMALL, "evidence.split=true"), Job(str(path)))
    return RunFolder(path)


def test_the_order_is_by_the_cost_on_one_half_and_the_curve_is_of_the_other(finished):
    rows = finished.read_predictions()
    rows["chosen"] = chosen_half(rows["sample_id"].astype(str).tolist())
    assert 20 < rows.query("condition == 'original'")["chosen"].sum() < 60
    means = rows[rows["chosen"]].groupby("condition", observed=True)["margin"].mean()
    costs = {name.removeprefix("head/"): means["original"] - value for name, value in means.items() if name.startswith("head/")}
    worst = sorted(costs, key=costs.get, reverse=True)[:4]
    right = rows[~rows["chosen"]].groupby("condition", observed=True)["correct"].mean()
    pruned = finished.read_accuracy().query("metric == 'top1'").set_index("condition")["num_pruned"]
    assert pruned["curve/cost/0/4"] == 4
    curve = read_evidence(finished.path, "curve.csv").query("order == 'cost'").set_index("size")["value"]
    for size, value in curve.items():
        assert value == pytest.approx(right[f"curve/cost/0/{size}"], abs=1e-6)
    together = np.array([costs[head] for head in worst])
    assert (np.diff(together) <= 0).all() and curve[0] >= curve[32]


def test_a_split_without_an_order_by_cost_is_refused():
    with pytest.raises(CcsError, match="evidence.split=true is about an order by cost"):
        configure("prune=paper", "evidence.split=true")
