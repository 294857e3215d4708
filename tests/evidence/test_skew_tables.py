"""Skews as tables: means over occupations, paired with the original's, tested, beside matched sets; and how well each group is seen."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from ccs_exp.evidence.group_accuracy import COLUMNS as GROUP_COLUMNS
from ccs_exp.evidence.group_accuracy import group_accuracy_rows
from ccs_exp.evidence.skew import COLUMNS, MEANS_COLUMNS, skew_tables
from ccs_exp.heads import Condition, Head
from ccs_exp.statistics.intervals import holm, wilson
from ccs_exp.tasks.evaluation import Evaluation, Outcomes, distinct_sets
from ccs_exp.tasks.group_rankings import Occupations, rankings

OCCUPATIONS, IMAGES, K = 12, 400, 40
NAMES = {"kind": ("A", "B", "C")}
NULLS = 19


def heads(number):
    return frozenset({Head(3, number)})


def conditions(nulls):
    found = [Condition("original", frozenset()), Condition("high_ccs", heads(1)), Condition("low_ccs", heads(2))]
    found += [Condition("empty", frozenset()), *(Condition(f"random/{seed}", heads(3 + seed)) for seed in range(3))]
    return found + [Condition(f"matched/high_ccs/{number}", heads(10 + number)) for number in range(nulls)]


def _noise(number):
    return 0 if number == 2 else number  # low heads change nothing


def evaluated(preference, paper=False, nulls=0):
    """Rankings that favour group A by `preference` of the set's number, from random similarities."""
    rng = np.random.default_rng(0)
    groups, noise = rng.choice(3, size=IMAGES, p=[0.2, 0.5, 0.3]), rng.normal(size=(IMAGES, OCCUPATIONS))
    sets, seeds = distinct_sets(conditions(nulls))
    asked = Occupations(tuple(f"o{number}" for number in range(OCCUPATIONS)), ("A {}",), False, K, paper)
    of_sets = (
        (
            noise
            + 0.1 * np.random.default_rng(_noise(number)).normal(size=noise.shape)
            + preference(number) * (groups == 0)[:, None]
        ).astype(np.float32)
        for number in range(len(sets))
    )
    ranked = rankings(of_sets, {"kind": groups}, NAMES, asked)
    return Evaluation(tuple(conditions(nulls)), sets, {}, seeds, rankings=ranked)


@pytest.fixture(scope="module")
def tables():
    """The original and all sets like it favour A; silencing high heads ends that, silencing low ones does nothing."""
    return skew_tables(evaluated(lambda number: 0.0 if number == 1 else 1.0, nulls=NULLS))


def mean(tables, condition, measure="max_skew"):
    (row,) = [row for row in tables[1] if (row["condition"], row["measure"]) == (condition, measure)]
    return row


def test_every_occupation_has_a_row_and_nulls_have_none(tables):
    rows, means = tables
    assert {row["condition"] for row in rows} == {"original", "high_ccs", "low_ccs", "random/0", "random/1", "random/2"}
    assert len(rows) == 6 * OCCUPATIONS and all(tuple(row) and set(row) == set(COLUMNS) for row in rows)
    assert all(set(row) == set(MEANS_COLUMNS) for row in means)
    assert {row["condition"] for row in means} == {row["condition"] for row in rows} | {"random/mean", "matched/high_ccs/mean"}


def test_means_and_paired_differences_are_those_of_the_occupations(tables):
    by = {
        condition: [row["max_skew"] for row in tables[0] if row["condition"] == condition]
        for condition in ("original", "high_ccs")
    }
    row = mean(tables, "high_ccs")
    assert row["value"] == pytest.approx(np.mean(by["high_ccs"]))
    difference = np.array(by["high_ccs"]) - by["original"]
    assert row["delta"] == pytest.approx(difference.mean()) and row["delta_high"] < 0
    unpaired = row["high"] - row["low"] + mean(tables, "original")["high"] - mean(tables, "original")["low"]
    assert row["delta_high"] - row["delta_low"] < unpaired
    assert row["p"] < 0.001 and wilcoxon(difference).pvalue < 0.001
    assert [mean(tables, "original")[name] for name in ("delta", "p", "p_holm")] == [None] * 3
    assert mean(tables, "random/mean")["value"] == pytest.approx(
        np.mean([mean(tables, f"random/{seed}")["value"] for seed in range(3)])
    )


def test_holm_s_family_is_what_somebody_asks_about(tables):
    tested = {row["condition"]: row for row in tables[1] if row["measure"] == "max_skew" and row["p"] is not None}
    assert set(tested) == {"high_ccs", "low_ccs"}
    assert [row["p_holm"] for row in tested.values()] == pytest.approx(holm([row["p"] for row in tested.values()]))
    assert tested["low_ccs"]["p_holm"] == 1 and tested["low_ccs"]["delta"] == 0


def test_a_condition_stands_among_the_sets_that_match_it(tables):
    row = mean(tables, "high_ccs")
    assert row["matched_sets"] == NULLS and row["p_matched"] == pytest.approx(2 / (NULLS + 1))
    assert row["matched_mean"] == pytest.approx(mean(tables, "matched/high_ccs/mean")["value"])
    assert mean(tables, "low_ccs")["p_matched"] is None


def test_a_model_without_preference_is_at_the_level_of_random_rankings(tables):
    fair = skew_tables(evaluated(lambda number: 0.0))
    for measure in ("max_skew", "min_skew", "ndkl"):
        row = mean(fair, "original", measure)
        assert row["low"] - 0.02 < row["random"] < row["high"] + 0.02
        assert abs(row["value"]) < abs(mean(tables, "original", measure)["value"])
    assert mean(fair, "original", "absent")["value"] == 0


def test_draws_of_one_condition_are_tested_as_one():
    sets = [Condition("original", frozenset()), *(Condition(f"high_ccs/{seed}", heads(1 + seed)) for seed in range(3))]
    sets += [
        Condition(f"matched/high_ccs/{seed}/{number}", heads(10 + 5 * seed + number)) for seed in range(3) for number in range(5)
    ]
    found = evaluated(lambda number: 1.0, nulls=13)
    moved = Evaluation(tuple(sets), (frozenset(), *(one.heads for one in sets[1:])), {}, (0,) * len(sets), rankings={})
    ranking = found.rankings["kind"]
    moved.rankings = {
        "kind": Outcomes(**{**vars(ranking), "columns": {name: of[: len(sets)] for name, of in ranking.columns.items()}})
    }
    means = skew_tables(moved)
    tested = [row["condition"] for row in means[1] if row["measure"] == "max_skew" and row["p"] is not None]
    assert tested == ["high_ccs/mean"]
    assert mean(means, "high_ccs/mean")["matched_sets"] == 5 and mean(means, "high_ccs/0")["matched_sets"] == 5
    assert mean(means, "matched/high_ccs/mean")["value"] == pytest.approx(mean(means, "high_ccs/mean")["matched_mean"])


def test_where_groups_are_counted_as_the_authors_do_nothing_is_random_and_there_is_no_ndkl():
    rows, means = skew_tables(evaluated(lambda number: 1.0, paper=True), paper=True)
    assert {row["measure"] for row in means} >= {"max_skew", "min_skew"} and "ndkl" not in {row["measure"] for row in means}
    assert {row["random"] for row in means} == {None} == {row["ndkl"] for row in rows}


def test_accuracy_within_groups_is_that_of_the_predictions_and_the_gap_is_between_best_and_worst():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    right = [rng.random(100) < np.array(shares)[targets] for shares in ([0.9, 0.6, 0.3], [0.5, 0.5, 0.5])]
    predictions = np.stack([np.where(hits, targets, (targets + 1) % 3) for hits in right])
    columns = {"prediction": predictions}
    task = Outcomes(
        "top1", "sample_id", [str(number) for number in range(100)], {"target": targets}, columns, [{}, {}], [0, 0], 100
    )
    named = (Condition("original", frozenset()), Condition("high_ccs", heads(1)), Condition("nothing", frozenset()))
    rows = group_accuracy_rows(Evaluation(named, (frozenset(), heads(1)), {"kind": task}, (0, 0)), NAMES)
    assert all(set(row) == {*GROUP_COLUMNS} for row in rows) and {row["condition"] for row in rows} == {"original", "high_ccs"}
    for condition, hits in zip(("original", "high_ccs"), right, strict=True):
        own = {row["group"] or row["of"]: row for row in rows if row["condition"] == condition and row["of"] != "worst"}
        shares = [hits[targets == group].mean() for group in range(3)]
        assert [own[name]["accuracy"] for name in "ABC"] == pytest.approx(shares)
        assert own["gap"]["accuracy"] == pytest.approx(max(shares) - min(shares))
        assert (own["A"]["low"], own["A"]["high"]) == pytest.approx(wilson(int(hits[:50].sum()), 50))
        assert own["gap"]["low"] < own["gap"]["accuracy"] < own["gap"]["high"]
        (worst,) = [row for row in rows if row["condition"] == condition and row["of"] == "worst"]
        assert worst["accuracy"] == pytest.approx(min(shares)) and worst["group"] == "ABC"[int(np.argmin(shares))]
    delta = next(row for row in rows if row["condition"] == "high_ccs" and row["of"] == "gap")
    assert delta["delta"] < 0 and delta["delta_low"] < delta["delta"] < delta["delta_high"]
