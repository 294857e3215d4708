"""Curves along orders of heads, and the areas between them."""

import numpy as np
import pytest

from ccs_exp.evidence.dose_response import areas, curve_rows, curves
from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.heads import Condition, Head
from ccs_exp.tasks.evaluation import Evaluation, Outcomes

HEADS, SAMPLES = [Head(4, index) for index in range(4)], 80


def effects(orders: dict[str, list[Head]]) -> Effects:
    """Every head that is silenced loses a tenth of the samples of its own: head i of four the (i+1)-th tenth, the last head two."""
    conditions = [Condition("original", frozenset())]
    for name, order in orders.items():
        conditions += [Condition(f"curve/{name}/{size}", frozenset(order[:size])) for size in range(len(order) + 1)]
    sets = tuple(dict.fromkeys(condition.heads for condition in conditions))
    tenth, lost = SAMPLES // 10, {head: [head.index] if head.index < 3 else [3, 4] for head in HEADS}
    wrong = [{part for head in heads for part in lost[head]} for heads in sets]
    prediction = np.array([[int(sample // tenth in parts) for sample in range(SAMPLES)] for parts in wrong], dtype=np.int32)
    zeros = np.zeros(prediction.shape, dtype=np.float32)
    columns = {"prediction": prediction, "margin": zeros, "log_probability": zeros}
    ids, target = [f"s{number}" for number in range(SAMPLES)], np.zeros(SAMPLES, dtype=np.int32)
    outcomes = Outcomes("top1", "sample_id", ids, {"target": target}, columns, [{"top1": 0.0}] * len(sets), [0] * len(sets), SAMPLES)
    return Effects(Evaluation(tuple(conditions), sets, {"task": outcomes}, (0,) * len(sets)), "task")


def test_the_area_between_equal_orders_is_zero_with_no_width():
    found = curves(effects({"ccs_falling/0": HEADS, "random/0": HEADS}), "task")
    (area,) = areas("task", found)
    assert (area["area"], area["low"], area["high"]) == (0, 0, 0)


def test_the_area_is_that_between_the_curves_and_turns_round_with_the_orders():
    orders = {"ccs_falling/0": HEADS, "ccs_rising/0": HEADS[::-1]}
    found = curves(effects(orders), "task")
    falling, rising = (found[name].of_seeds[0].tolist() for name in ("ccs_falling", "ccs_rising"))
    assert falling == pytest.approx([1, 0.9, 0.8, 0.7, 0.5]) and rising == pytest.approx([1, 0.8, 0.7, 0.6, 0.5])
    (area,) = areas("task", found)
    assert (area["first"], area["second"]) == ("ccs_falling", "ccs_rising")
    assert area["area"] == pytest.approx((0 + 2 * (0.1 + 0.1 + 0.1) + 0) / 2 / 4)  # trapezoids over quarters of the heads
    assert area["low"] < area["area"] < area["high"]
    (turned,) = areas("task", dict(reversed(found.items())))
    assert turned["area"] == -area["area"] and turned["low"] == pytest.approx(-area["high"])


def test_rows_have_every_order_seed_and_size():
    found = curves(effects({"random/0": HEADS, "random/7": HEADS[::-1], "ccs_falling/0": HEADS}), "task")
    rows = curve_rows("task", found)
    assert {(row["order"], row["seed"]) for row in rows} == {("random", 0), ("random", 7), ("ccs_falling", 0)} and len(rows) == 15
    (area,) = areas("task", found)
    assert area["area"] == pytest.approx(-(0.05 + 0.05 + 0.05) / 4), "of two seeds the mean curve counts: half the area of the second"
