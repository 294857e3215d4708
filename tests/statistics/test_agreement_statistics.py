"""Kappa, rho and tau are scikit-learn's and scipy's, with intervals that a bootstrap by hand gives too."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import cohen_kappa_score

from ccs_exp.agreement.findings import paper_agreement
from ccs_exp.statistics.agreement import agreement, kappa_of_counts, phi_of_counts, raw_of_counts

ratings = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def two_raters(size=60, seed=0, error=0.25):
    generator = np.random.default_rng(seed)
    first = generator.random(size) < 0.6
    return first, first ^ (generator.random(size) < error)


@pytest.mark.parametrize("seed", range(5))
def test_values_are_those_of_the_libraries(seed):
    first, second = two_raters(seed=seed)
    found = agreement(first, second, resamples=10)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.spearman.value == pytest.approx(spearmanr(first, second).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(first, second, variant="b").statistic)
    assert found.raw.value == (first == second).mean()
    assert (found.yes_first, found.yes_second, found.count) == (first.mean(), second.mean(), 60)


@settings(max_examples=100, deadline=None)
@given(ratings)
def test_the_statistics_of_the_resamples_are_the_same_ones(pairs):
    first, second = np.array(pairs, dtype=bool).T
    counts = [np.array([float((cell).sum())]) for cell in (first & second, first & ~second, ~first & second, ~first & ~second)]
    assert raw_of_counts(*counts) == pytest.approx((first == second).mean())
    both_vary = len(set(first)) == len(set(second)) == 2
    if len(set(first) | set(second)) == 2:
        assert kappa_of_counts(*counts) == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    else:
        assert np.isnan(kappa_of_counts(*counts))
    if both_vary:
        assert phi_of_counts(*counts) == pytest.approx(spearmanr(first, second).statistic)
        assert phi_of_counts(*counts) == pytest.approx(kendalltau(first, second).statistic)
    else:
        assert np.isnan(phi_of_counts(*counts))


@settings(max_examples=60, deadline=None)
@given(ratings)
def test_laws(pairs):
    first, second = np.array(pairs, dtype=bool).T
    found, swapped, negated = (agreement(*both, resamples=20) for both in ((first, second), (second, first), (~first, ~second)))
    for name in ("kappa", "spearman", "kendall", "raw"):
        value = getattr(found, name).value
        assert (value is None) == (getattr(found, name).reason is not None and getattr(found, name).low is None and value is None)
        for other in (swapped, negated):  # who is first, and which answer is called yes, do not matter
            assert getattr(other, name).value == (value if value is None else pytest.approx(value))
    assert found.spearman.value == (found.kendall.value if found.kendall.value is None else pytest.approx(found.kendall.value))
    perfect = agreement(first, first, resamples=20)
    assert perfect.raw.value == 1 and perfect.kappa.value in (None, pytest.approx(1))


def test_the_interval_is_that_of_drawing_heads_again():
    first, second = two_raters(100)
    heads = np.arange(100) // 5
    found = agreement(first, second, heads, resamples=4000, seed=1)
    generator = np.random.default_rng(7)
    drawn = []
    for _ in range(800):
        rows = np.concatenate([np.flatnonzero(heads == head) for head in generator.integers(20, size=20)])
        drawn.append(cohen_kappa_score(first[rows], second[rows]))
    assert (found.kappa.low, found.kappa.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.03)
    assert found.kappa.low < found.kappa.value < found.kappa.high


def test_descriptions_of_one_head_that_all_agree_or_all_differ_make_the_interval_wider():
    alike = np.repeat(np.random.default_rng(0).random(20) < 0.7, 5)
    first = np.tile([True, False], 50)
    second = np.where(alike, first, ~first)
    single, clustered = agreement(first, second), agreement(first, second, np.arange(100) // 5)
    assert clustered.raw.high - clustered.raw.low > 1.5 * (single.raw.high - single.raw.low)
    assert clustered.raw.value == single.raw.value


def test_the_same_seed_gives_the_same_interval():
    assert agreement(*two_raters(), seed=3) == agreement(*two_raters(), seed=3)
    assert agreement(*two_raters(), seed=3) != agreement(*two_raters(), seed=4)


@pytest.mark.parametrize(
    ("first", "second", "kappa", "reason"),
    [
        ([1, 1, 1], [1, 1, 1], None, "the first rater says yes throughout and the second rater says yes throughout"),
        ([0, 0], [0, 0], None, "says no throughout"),
        ([1, 1, 1], [1, 0, 1], 0.0, "the first rater says yes throughout"),
        ([0, 1, 0], [1, 1, 1], 0.0, "the second rater says yes throughout"),
        ([1, 1], [0, 0], 0.0, "yes throughout and the second rater says no throughout"),
        ([], [], None, "no description that both rated"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(first, second, kappa, reason, recwarn):
    found = agreement(first, second)
    assert found.kappa.value == kappa
    for estimate in (found.spearman, found.kendall):
        assert estimate.value is None and estimate.low is None and reason in estimate.reason
    assert reason in found.kappa.reason
    assert not recwarn.list


def test_intervals_that_cannot_be_are_none_with_a_reason(recwarn):
    one_head = agreement([1, 0, 1, 1], [1, 0, 0, 1], ["L0.H0"] * 4)
    assert one_head.kappa.value is not None and one_head.kappa.low is None and "one head" in one_head.kappa.reason
    few = agreement([1, 0, 1, 1], [1, 0, 1, 1])
    assert few.kappa.value == 1 and few.kappa.low is None and "undefined in" in few.kappa.reason
    assert not recwarn.list


def test_ratings_of_different_length_are_an_error():
    with pytest.raises(ValueError, match="one length"):
        agreement([True], [True, False])
    with pytest.raises(ValueError, match="one length"):
        agreement([True, False], [True, False], ["L0.H0"])


def test_the_papers_table_2(shared):
    assert paper_agreement()["vitb16_laion"] == {"kappa": 0.676, "spearman": 0.678, "kendall": 0.678}
    lines = (shared / "reference" / "paper_agreement.csv").read_text().split()
    for line in itertools.islice(lines, 1, None):
        model, *values = line.split(",")
        assert list(paper_agreement()[model].values()) == [float(value) for value in values]
    assert len(paper_agreement()) == len(lines) - 1 == 3
