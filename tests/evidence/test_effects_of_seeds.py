"""Effects of conditions that were evaluated under several seeds of donors: means over seeds, whose spread enters the interval."""

import numpy as np
import pytest

from ccs_exp.evidence.effects import costs
from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.heads import Condition, Head
from ccs_exp.tasks.evaluation import Evaluation, Outcomes, distinct_sets

ONE, TWO = frozenset({Head(4, 0)}), frozenset({Head(4, 0), Head(5, 1)})
CONDITIONS = (Condition("original", frozenset()), Condition("two", TWO), Condition("one", ONE), Condition("none", frozenset()))
SEEDS, SAMPLES = (3, 5, 8, 9, 11), 60


def evaluation(spread):
    """Margins that differ between seeds by `spread`; right where they are above zero."""
    sets, seeds = distinct_sets(CONDITIONS, SEEDS)
    assert sets == (frozenset(), *[TWO] * 5, *[ONE] * 5) and seeds == (3, *SEEDS, *SEEDS)
    rng = np.random.default_rng(0)
    margins = rng.normal(1, 1, SAMPLES) + np.array([0, *(-1 + spread * rng.normal(size=5)), *(-0.5 + spread * rng.normal(size=5))])[:, None]
    margins += rng.normal(0, 0.1, margins.shape)
    target = np.zeros(SAMPLES, dtype=np.int32)
    prediction = (margins < 0).astype(np.int32)
    values = [{"top1": float((row == 0).mean())} for row in prediction]
    ids = [f"s{number}" for number in range(SAMPLES)]
    columns = {"prediction": prediction, "margin": margins.astype(np.float32), "log_probability": margins.astype(np.float32)}
    outcomes = Outcomes("top1", "sample_id", ids, {"target": target}, columns, values, [1] * 11, SAMPLES)
    return Evaluation(CONDITIONS, sets, {"task": outcomes}, seeds)


def test_values_are_means_over_seeds_and_predictions_have_each():
    found = evaluation(0.3)
    values = found.tasks["task"].values
    assert found.values["two"]["top1"] == pytest.approx(np.mean([values[place]["top1"] for place in range(1, 6)]))
    assert found.values["none"] == found.values["original"] == values[0]
    assert found.tied == {"original": 1, "two": 5, "one": 5}
    assert found.places(CONDITIONS[:3]).tolist() == [[0, 1 + seed, 6 + seed] for seed in range(5)]
    rows = found.predictions.to_pandas()
    assert rows.groupby("condition", sort=False).size().to_dict() == {"original": 60, "two": 300, "one": 300, "none": 60}
    one = rows[(rows["condition"] == "one") & (rows["seed"] == 8)]
    assert np.array_equal(one["margin"], found.tasks["task"].columns["margin"][8])


def test_costs_take_all_seeds_and_their_spread():
    found = evaluation(0.3)
    margins = found.tasks["task"].columns["margin"]
    effects = Effects(found, "task")
    expected = costs(margins[0], np.stack([margins[1:6], margins[6:11]], axis=1))  # [seeds, conditions, samples]
    two, one = (row for row in effects.rows(effects.silenced) if row["measure"] == "margin" and row["condition"] in ("two", "one"))
    for row, place in ((two, 0), (one, 1)):
        assert (row["cost"], row["cost_low"], row["cost_high"]) == (expected.cost[place], expected.low[place], expected.high[place])
        assert row["cost"] == pytest.approx((margins[0] - margins[1 + 5 * place : 6 + 5 * place]).mean(), abs=1e-5)
    alike = Effects(evaluation(0.0), "task").costs("task")
    wide, narrow = expected.high - expected.low, alike.high - alike.low
    assert (wide > 2 * narrow).all(), "seeds that disagree must widen the interval"
    lost = next(row for row in effects.rows(effects.silenced) if row["measure"] == "accuracy" and row["condition"] == "two")
    assert lost["cost"] == pytest.approx(found.values["original"]["top1"] - found.values["two"]["top1"], abs=1e-6)
    assert lost["cost_low"] < lost["cost"] < lost["cost_high"] and lost["became_wrong"] is None
