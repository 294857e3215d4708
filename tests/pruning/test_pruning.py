"""Strategies turn scores into conditions."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, scored_heads
from ccs_exp.pruning.conditions import conditions, empty_conditions
from ccs_exp.pruning.context import PruningContext
from ccs_exp.pruning.designs import Curve, Matched
from ccs_exp.pruning.strategies import ByClass, Concept, EachHead, Heads, Random
from ccs_exp.scoring.ccs import HeadScore, Scores, Thresholds
from ccs_exp.scoring.concepts import load_concepts
from ccs_exp.scoring.published import published_scores

TABLE_3 = {
    "vitb32_openai": (8, 4),
    "vitb32_datacomp": (11, 8),
    "vitb16_openai": (10, 4),
    "vitb16_laion": (13, 6),
    "vitl14_openai": (16, 11),
    "vitl14_laion": (21, 3),
}


def context(ccs: list[int | None], layers: int = 12, heads_per_layer: int = 12) -> PruningContext:
    heads = scored_heads(layers, heads_per_layer)[: len(ccs)]
    thresholds = Thresholds()
    scores = [
        HeadScore(head, "colors" if k == 5 else "shapes", k, None if k is None else thresholds.classify(k))
        for head, k in zip(heads, ccs, strict=True)
    ]
    return PruningContext(Scores(tuple(scores)), layers, heads_per_layer, "a model")


def by_name(chosen):
    return {condition.name: condition.heads for condition in chosen}


SCORES = [5, 5, 5, 0, 1, 2, 3, 4, 2, 3, None, 5]


def test_the_original_is_always_there_and_first():
    assert [c.name for c in conditions([], context(SCORES))] == ["original"]
    assert conditions([ByClass("high")], context(SCORES))[0].heads == frozenset()


def test_high_and_low_follow_the_papers_thresholds():
    got = by_name(conditions([ByClass("high"), ByClass("low")], context(SCORES)))
    heads = scored_heads(12, 12)
    assert got["high_ccs"] == {heads[0], heads[1], heads[2], heads[11]}
    assert got["low_ccs"] == {heads[3], heads[4]}


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=8, max_size=40), st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
def test_random_draws_as_many_as_are_high_from_the_others(ccs, seeds):
    where = context(ccs)
    high = where.scores.of_class("high")
    if 2 * len(high) > len(ccs):
        with pytest.raises(CcsError, match=rf"needs {len(high)} heads.* only {len(ccs) - len(high)}"):
            conditions([Random(seeds)], where)
        return
    got = by_name(conditions([Random(seeds)], where))
    again = by_name(conditions([Random(seeds)], where))
    assert got == again and list(got)[1:] == [f"random/{seed}" for seed in seeds]
    for seed in seeds:
        assert len(got[f"random/{seed}"]) == len(high)
        assert not got[f"random/{seed}"] & high and got[f"random/{seed}"] <= set(where.scored)


def test_random_can_draw_from_all_layers():
    got = by_name(conditions([Random(range(30), layers="all")], context(SCORES)))
    assert any(head.layer < 8 for heads in got.values() for head in heads)


def test_random_seeds_differ():
    got = by_name(conditions([Random(range(5))], context([5] * 5 + [2] * 40)))
    assert len({heads for name, heads in got.items() if name != "original"}) == 5


def test_match_count_gives_every_condition_the_smaller_number():
    where = context(SCORES + [2] * 10)  # four high, two low
    got = by_name(conditions([ByClass("high"), ByClass("low"), Random((0,))], where, match_seeds=(0, 1)))
    assert {name: len(heads) for name, heads in got.items()} == {
        "original": 0, "high_ccs/0": 2, "high_ccs/1": 2, "low_ccs": 2, "random/0": 2,
    }  # fmt: skip
    assert got["high_ccs/0"] <= where.scores.of_class("high")


def test_a_concept_takes_its_high_heads_whatever_the_case():
    got = by_name(conditions([Concept(["Colors", "shapes"])], context(SCORES)))
    assert len(got["concept/Colors"]) == 4
    assert got["concept/shapes"] == frozenset()


def test_conditions_without_heads_are_kept_and_reported():
    chosen = conditions([ByClass("high"), Concept(["cats"])], context([1, 2, 3, 4] * 3))
    assert [c.name for c in chosen] == ["original", "high_ccs", "concept/cats"]
    warnings = empty_conditions(chosen)
    assert len(warnings) == 2 and warnings[0].startswith("high_ccs silences no head")


def test_given_heads():
    got = by_name(conditions([Heads(["L8.H3", "L0.H11"], {"mine": ["L11.H5"]})], context(SCORES)))
    assert got["heads/list"] == {Head(8, 3), Head(0, 11)} and got["heads/mine"] == {Head(11, 5)}
    with pytest.raises(CcsError, match=r"L12\.H0: a model has layers 0-11 of 12 heads each"):
        conditions([Heads(["L12.H0"])], context(SCORES))


def test_each_head_alone():
    got = conditions([EachHead()], context(SCORES))
    assert [c.name for c in got[1:3]] == ["head/L8.H0", "head/L8.H1"] and len(got) == 1 + len(SCORES)
    assert all(len(c.heads) == 1 for c in got[1:])


def test_the_same_condition_twice_is_an_error():
    with pytest.raises(CcsError, match="high_ccs are asked for more than once"):
        conditions([ByClass("high"), ByClass("high")], context(SCORES))


@pytest.mark.parametrize(
    "broken", [lambda: Random(()), lambda: Random((1, 1)), lambda: Random((0,), "some"), lambda: Concept(())]
)
def test_impossible_settings_are_errors(broken):
    with pytest.raises(CcsError, match="prune"):
        broken()


@pytest.mark.parametrize("variant", TABLE_3)
def test_published_counts_are_those_of_table_3(variant):
    scores = published_scores(variant)
    assert (len(scores.of_class("high")), len(scores.of_class("low"))) == TABLE_3[variant]
    assert len(scores.heads) == (64 if "l14" in variant else 48)
    assert scores.ccs_at_k() is None
    assert {score.ccs for score in scores.heads} == {5, None} and all(score.ccs_class for score in scores.heads)


def test_published_concepts_are_used_as_given():
    scores = published_scores("vitl14_laion")
    assert scores.of_concept("objects", load_concepts()) == {Head(23, 3)} and not scores.of_concept(
        "objects", load_concepts()
    ) & scores.of_class("high")
    assert scores.of_concept("cats", load_concepts()) == frozenset()


def test_published_heads_of_another_model_are_an_error():
    with pytest.raises(CcsError, match="ccs=published knows vitb32_openai, .*not tiny"):
        published_scores("tiny")


def test_matched_sets_have_the_layers_of_the_tested_set_and_come_from_all_heads():
    where = context([5, 5, 1, 3] * 12, layers=12, heads_per_layer=12)
    got = by_name(conditions([ByClass("high"), Matched(draws=50)], where))
    high = got["high_ccs"]
    draws = {name: heads for name, heads in got.items() if name.startswith("matched/high_ccs/")}
    assert len(draws) == len(set(draws.values())) == 50
    for heads in draws.values():
        assert sorted(head.layer for head in heads) == sorted(head.layer for head in high)
    assert any(heads & high for heads in draws.values())


def test_a_null_of_nothing_says_what_there_is():
    with pytest.raises(CcsError, match="There are: low_ccs"):
        conditions([ByClass("low"), Matched()], context(SCORES))
    assert not [name for name in by_name(conditions([ByClass("high"), Matched()], context([3, 3, 1]))) if "matched" in name]


def test_curves_are_nested_and_end_with_every_head():
    where = replace(context(SCORES), costs={head: float(head.index) for head in context(SCORES).scored})
    got = by_name(conditions([Curve(seeds=[0])], where))
    for order in ("ccs_falling", "ccs_rising", "cost", "random"):
        sets = [got[f"curve/{order}/0/{k}"] for k in range(len(SCORES) + 1)]
        assert [len(heads) for heads in sets] == list(range(len(SCORES) + 1))
        assert all(one < other for one, other in itertools.pairwise(sets))
    assert got["curve/cost/0/1"] == {where.scored[-1]}
    assert got["curve/ccs_falling/0/4"] == {score.head for score in where.scores.heads if score.ccs == 5}
    few = by_name(conditions([Curve(["random"], [0], steps=3)], where))
    assert [name for name in few if name != "original"] == [f"curve/random/0/{k}" for k in (0, 4, 8, 12)]


@pytest.mark.parametrize("wrong", [{"orders": ["alphabet"]}, {"orders": []}, {"seeds": []}, {"seeds": [1, 1]}, {"steps": 0}])
def test_curves_that_cannot_be_are_refused(wrong):
    with pytest.raises(CcsError, match=r"prune\.curve"):
        Curve(**wrong)


def test_an_order_by_costs_that_nobody_knows_is_refused():
    with pytest.raises(CcsError, match="ccs_falling, ccs_rising, random"):
        conditions([Curve()], context(SCORES))
