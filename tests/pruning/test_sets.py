"""Orders, nested sets, areas, and nulls matched by layer."""

import itertools
import math

import numpy as np
import pytest

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.pruning.designs import matched_sets, nested, orders
from ccs_exp.statistics.null_place import null_place

HEADS = tuple(Head(layer, index) for layer in range(4) for index in range(8))


def test_orders_follow_their_quantity_and_seeds_break_ties():
    ccs = {head: None if head == Head(0, 0) else (head.index + head.layer) % 3 for head in HEADS}
    cost = {head: float(place) for place, head in enumerate(HEADS)}
    found = orders(ccs, cost, seeds=(0, 1))
    assert set(found) == {f"{name}/{seed}" for name in ("ccs_falling", "ccs_rising", "cost", "random") for seed in (0, 1)}
    assert all(sorted(order) == sorted(HEADS) for order in found.values())
    falling = [ccs[head] for head in found["ccs_falling/0"]]
    rising = [ccs[head] for head in found["ccs_rising/0"]]
    assert falling[:-1] == sorted(falling[:-1], reverse=True) and rising[:-1] == sorted(rising[:-1])
    assert falling[-1] is None and rising[-1] is None
    assert found["cost/0"] == found["cost/1"] == tuple(reversed(HEADS))
    assert found["ccs_falling/0"] != found["ccs_falling/1"] and found["random/0"] != found["random/1"]
    reordered = orders(dict(reversed(ccs.items())), seeds=(0, 1))  # the order in which heads are given is none
    assert all(found[name] == order for name, order in reordered.items())


def test_no_ccs_is_an_error_that_says_what_to_do():
    with pytest.raises(CcsError, match="no head has one. Use ccs=computed"):
        orders(dict.fromkeys(HEADS, None))


def test_nested_sets_grow_by_one_head():
    sets = nested(HEADS)
    assert sets[0] == frozenset() and sets[-1] == frozenset(HEADS) and len(sets) == 33
    assert all(len(larger - smaller) == 1 and smaller < larger for smaller, larger in itertools.pairwise(sets))


def test_matched_sets_have_as_many_heads_in_each_layer_and_differ():
    tested = frozenset({Head(0, 0), Head(0, 1), Head(2, 5), Head(3, 1), Head(3, 2), Head(3, 3)})
    found = matched_sets(tested, HEADS, 200, seed=1)
    assert len(set(found)) == len(found) == 200 and tested not in found
    for one in found:
        assert [sum(h.layer == layer for h in one) for layer in range(4)] == [2, 0, 1, 3]
    often = np.mean([[head in one for head in HEADS[:8]] for one in found], axis=0)
    np.testing.assert_allclose(often, 0.25, atol=0.12)  # the set's own heads as often as the others
    assert found == matched_sets(tested, tuple(reversed(HEADS)), 200, seed=1)
    assert found != matched_sets(tested, HEADS, 200, seed=2)


@pytest.mark.parametrize("draws", [27, 28, 200])
def test_where_there_are_few_all_are_given(draws):
    tested = frozenset({Head(1, 0), Head(1, 7)})
    found = matched_sets(tested, HEADS, draws)
    assert (tested in found) == (draws >= 28)
    assert len(set(found)) == min(draws, math.comb(8, 2))
    # one draw short of all, the +1 stands for the tested set: the same p
    costs = {one: float(sum(head.index for head in one)) for one in {*found, tested}}
    place = null_place(costs[tested], [costs[one] for one in found], (tested in found))
    assert place.p_worse == pytest.approx(sum(c >= 7 for c in map(sum, itertools.combinations(range(8), 2))) / 28)


def test_all_heads_of_the_layers_have_no_other_set():
    tested = frozenset(head for head in HEADS if head.layer in (1, 3))
    found = matched_sets(tested, HEADS)
    assert found == (tested,) and (tested in found)
    place = null_place(0.7, [0.7], (tested in found))
    assert (place.p_worse, place.p_better, place.p) == (1, 1, 1)


def test_a_place_counts_equals_and_is_two_sided():
    place = null_place(2.0, [3.0, 2.0 + 1e-12] + [1.0] * 17, False)
    assert (place.as_bad, place.as_good, place.draws) == (2, 18, 19)
    assert place.p_worse == 3 / 20 and place.p_better == 19 / 20 and place.p == 6 / 20


def test_what_has_no_null_is_an_error():
    with pytest.raises(CcsError, match=r"L9\.H0 are not scored"):
        matched_sets(frozenset({Head(9, 0)}), HEADS)
    with pytest.raises(CcsError, match="an empty set has no null"):
        matched_sets(frozenset(), HEADS)


def test_labels_given_at_random_are_rejected_as_often_as_the_level_says():
    """Heads with effects that add up, larger in later layers; the set is what labels at random make high."""
    rng = np.random.default_rng(3)
    rejected = 0
    for draw in range(1000):
        effect = dict(zip(HEADS, rng.gamma(0.5, 1.0, size=32) * np.repeat([1, 2, 4, 8], 8), strict=True))
        tested = frozenset(HEADS[place] for place in rng.permutation(32)[:8])
        found = matched_sets(tested, HEADS, 199, seed=draw)
        costs = [sum(effect[head] for head in one) for one in found]
        rejected += null_place(sum(effect[head] for head in tested), costs, False).p <= 0.05
    assert 0.03 <= rejected / 1000 <= 0.07
