"""The causal map, and whether labels are what it says."""

import functools

import numpy as np
import pytest

from ccs_exp.errors import CcsError
from ccs_exp.evidence.causal_map import COLUMNS, CausalMap, ccs_against_cost
from ccs_exp.evidence.concept_tests import Task, load_concept_tests
from ccs_exp.evidence.effects import costs
from ccs_exp.evidence.label_truth import label_truth
from ccs_exp.heads import Head
from ccs_exp.statistics.intervals import holm

HEADS = tuple(Head(layer, index) for layer in (2, 3) for index in range(3))
COLOUR, SHAPE, PLACE = TASKS = tuple(Task("scenes", name) for name in ("colour", "shape", "place"))


@functools.cache
def made_map(seed=0, samples=300):
    """Each head hurts one task: the heads' own effects are known."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((6, 3))
    truth[np.arange(6), np.arange(6) % 3] = [2.0, 1.0, 0.5, 1.0, 2.0, 3.0]
    found = []
    for task in range(3):
        original = rng.normal(4.0, 2.0, size=samples)
        found.append(costs(original, original - rng.normal(truth[:, [task]], 1.0, size=(6, samples)), seed=seed))
    return CausalMap("margin", HEADS, TASKS, tuple(found)), truth


def test_the_most_affected_task_and_its_specificity():
    found, truth = made_map()
    for place, most in enumerate(found.most_affected()):
        assert most.task == TASKS[place % 3]
        assert most.cost == pytest.approx(truth[place].max() / 2.0, abs=0.15)
        others = np.delete(found.standardised[place], place % 3)
        assert most.specificity == pytest.approx(most.cost - others.mean())
        assert most.interval.low < most.specificity < most.interval.high
    np.testing.assert_allclose(found.mean_standardised, found.standardised.mean(axis=1))


def test_specificity_needs_another_task():
    found, _ = made_map()
    alone = CausalMap("margin", HEADS, (COLOUR,), found.costs[:1])
    assert alone.most_affected()[0].specificity is None and alone.most_affected()[0].interval is None


def test_a_task_without_images_is_left_out_of_what_follows():
    found, _ = made_map()
    nothing = costs(np.full(4, np.nan), np.full((6, 4), np.nan))
    with_nothing = CausalMap("margin", HEADS, (*TASKS, Task("scenes", "count")), (*found.costs, nothing))
    assert [most.task for most in with_nothing.most_affected()] == [most.task for most in found.most_affected()]
    np.testing.assert_allclose(with_nothing.mean_standardised, found.mean_standardised)
    only_nothing = CausalMap("margin", HEADS, (COLOUR,), (nothing,))
    assert only_nothing.most_affected() == (None,) * 6 and np.isnan(only_nothing.mean_standardised).all()
    assert only_nothing.rows()[0]["cost"] is None and only_nothing.rows()[0]["p_holm"] is None


def test_rows_hold_every_cell_and_holm_s_family_is_all_of_them():
    found, _ = made_map()
    rows = found.rows()
    assert len(rows) == 18 and all(tuple(row) == COLUMNS for row in rows)
    assert (rows[4]["head"], rows[4]["task"], rows[4]["measure"]) == ("L2.H1", "scenes/shape", "margin")
    assert rows[4]["cost"] == found.costs[1].cost[1] and rows[4]["cost_high"] == found.costs[1].high[1]
    assert [row["p_holm"] for row in rows] == holm([row["p"] for row in rows])


def test_ccs_that_follows_costs_is_found_and_heads_without_one_are_left_out():
    heads = [Head(layer, index) for layer in range(4) for index in range(8)]
    cost = np.random.default_rng(1).normal(size=32)
    ccs = [None if place == 0 else int(np.clip(np.round(2.5 + 2 * value), 0, 5)) for place, value in enumerate(cost)]
    found = ccs_against_cost(heads, ccs, cost)
    assert found.count == 31 and found.rho > 0.9 and found.p == 1 / 10_000
    assert ccs_against_cost(heads, [None] * 32, cost).rho is None


def test_labels_are_read_as_the_concept_map_reads_them():
    tests = load_concept_tests()
    assert tests.tests("Colour schemes", COLOUR) and tests.tests("colors", Task("scenes_colour", "class"))
    assert not tests.tests("colors", SHAPE) and not tests.tests(None, COLOUR) and not tests.tests("joy", COLOUR)
    assert tests.tests("Geographic locations", Task("country211")) and tests.tests("textures", Task("dtd"))
    assert tests.tested("animals", [COLOUR, Task("oxford_pets")]) and not tests.tested("animals", TASKS)


def test_every_scene_factor_is_tested_and_every_concept_known():
    from ccs_exp.data.bundled.scenes import FACTORS
    from ccs_exp.evidence.concept_tests import COLUMNS as TESTED
    from ccs_exp.files import ASSETS, read_csv
    from ccs_exp.scoring.concepts import load_concepts

    rows = read_csv(ASSETS / "concept_tests.csv", TESTED)
    assert {row["task"] for row in rows if row["dataset"] == "scenes"} == set(FACTORS)
    assert {row["dataset"] for row in rows if row["dataset"].startswith("scenes_")} == {f"scenes_{factor}" for factor in FACTORS}
    assert {row["concept"] for row in rows} <= set(load_concepts().names)


def test_users_add_their_own_rows(tmp_path):
    own = tmp_path / "tests.csv"
    own.write_text("concept,dataset,task\nweather,skies,\n", encoding="utf-8")
    tests = load_concept_tests(own)
    assert tests.tests("Climate", Task("skies", "cloud")) and tests.tests("colors", COLOUR)
    own.write_text("concept,dataset,task\nweather,,\n", encoding="utf-8")
    with pytest.raises(CcsError, match="row 1: a row needs a concept and a data set"):
        load_concept_tests(own)


def test_a_label_that_no_task_tests_is_untested_and_not_wrong():
    truth = label_truth(
        ["colors", "shapes", "animals", None, "places"], [COLOUR, COLOUR, PLACE, PLACE, None], TASKS, load_concept_tests()
    )
    assert truth.right == (True, False, None, None, False)
    share = truth.share()
    assert (share.right, share.tested, share.untested) == (1, 3, 2)
    assert truth.share(np.array([0, 0, 1, 1, 0], bool)) == type(share)(0, 0, 2, None, None)


def test_permuted_labels_are_what_dealing_them_out_gives():
    labels, found = ["colors"] * 4 + ["shapes"] * 2, [COLOUR, COLOUR, SHAPE, PLACE, SHAPE, COLOUR]
    truth = label_truth(labels, found, TASKS, load_concept_tests())
    rng, subset = np.random.default_rng(0), np.array([1, 1, 1, 0, 0, 0], bool)
    shares, as_many = [], 0
    for _ in range(4000):
        dealt = [labels[place] for place in rng.permutation(6)]
        right = [{"colors": COLOUR, "shapes": SHAPE}[label] == task for label, task in zip(dealt, found, strict=True)]
        shares.append(np.mean(right[:3]))
        as_many += sum(right[:3]) >= 2
    share = truth.share(subset)
    assert (share.right, share.tested) == (2, 3)
    assert share.permuted == pytest.approx(np.mean(shares), abs=0.02) and share.p == pytest.approx(as_many / 4000, abs=0.03)
