"""Ranks: equal to scipy's, whatever the signs and ties, and what several right candidates mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from ccs_exp.tasks.ranking import RECALL_AT, ranks, retrieval_metrics

EACH_ITS_OWN = np.arange(1000)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_ranks_are_scipys(decimals):
    similarities = np.random.default_rng(0).normal(-0.5, 1, (1000, 1000)).astype(np.float32)
    similarities = similarities if decimals is None else similarities.round(decimals)
    expected = [rankdata(-row, "average")[index] for index, row in enumerate(similarities)]
    assert ranks(similarities, EACH_ITS_OWN, EACH_ITS_OWN).tolist() == expected


def test_when_all_are_equal_nothing_is_found():
    rank = ranks(np.full((1000, 1000), -0.25, np.float32), EACH_ITS_OWN, EACH_ITS_OWN)
    assert set(rank) == {500.5}
    metrics = retrieval_metrics(rank, np.zeros(1000, bool), "t2v")
    assert metrics == {"t2v_R@1": 0, "t2v_R@5": 0, "t2v_R@10": 0, "t2v_R@50": 0, "t2v_median_rank": 500.5, "t2v_mean_rank": 500.5}


@given(st.data())
def test_several_right_candidates_are_found_by_the_best(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    owner = rng.permutation(np.concatenate([np.arange(4), rng.integers(0, 4, data.draw(st.integers(0, 12)))]))
    similarities = rng.integers(-3, 3, (4, len(owner))).astype(float)
    rank = ranks(similarities, owner, np.arange(4))
    for query, row in enumerate(similarities):
        wrong = np.append(row[owner != query], row[owner == query].max())  # only the best right one competes
        assert rank[query] == rankdata(-wrong, "average")[-1]
    order = rng.permutation(len(owner))
    assert (ranks(similarities[:, order], owner[order], np.arange(4)) == rank).all()


def test_two_equal_captions_of_one_video_do_not_hinder_each_other():
    assert ranks(np.array([[0.9, 0.9, 0.1]]), np.array([0, 0, 1]), np.array([0])).tolist() == [1]


def test_ranks_without_ties_are_the_least_of_scipys():
    similarities = np.random.default_rng(1).normal(size=(50, 200))
    owner = np.arange(200) % 50
    expected = [rankdata(-row, "average")[owner == query].min() for query, row in enumerate(similarities)]
    assert ranks(similarities, owner, np.arange(50)).tolist() == expected


def test_recalls_are_shares_of_ranks_and_a_miss_is_no_hit():
    rank = np.array([1.0, 1.5, 5.0, 10.0, 50.0, 51.0, 3.0])
    missed = np.array([False] * 6 + [True])
    metrics = retrieval_metrics(rank, missed, "v2t")
    assert [metrics[f"v2t_R@{k}"] for k in RECALL_AT] == pytest.approx([1 / 7, 3 / 7, 4 / 7, 5 / 7])
    assert metrics["v2t_median_rank"] == 5 and metrics["v2t_mean_rank"] == pytest.approx(rank.mean())


@pytest.mark.parametrize(
    ("similarities", "owner", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 0, 0]), "query 1 has no right candidate"),
        (np.zeros((2, 3)), np.array([0, 1]), "do not fit"),
        (np.full((2, 2), np.nan), np.array([0, 1]), "not a number"),
    ],
)
def test_what_has_no_rank_is_refused(similarities, owner, message):
    with pytest.raises(ValueError, match=message):
        ranks(similarities, owner, np.arange(2))
