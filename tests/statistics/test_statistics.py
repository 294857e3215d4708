"""Intervals, tests and corrections: laws first, then what is known from elsewhere."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from ccs_exp.statistics.intervals import (
    bootstrap_mean,
    holm,
    holm_in_family,
    newcombe,
    paired,
    spread,
    wilson,
)

HITS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(HITS)
def test_swapping_before_and_after_turns_the_difference_and_keeps_the_test(pairs):
    before, after = (np.array(column) for column in zip(*pairs, strict=True))
    there, back = paired(before, after), paired(after, before)
    assert (there.lost, there.gained) == (back.gained, back.lost)
    assert there.delta == -back.delta == pytest.approx(after.mean() - before.mean())
    assert there.p == pytest.approx(back.p) and 0 < there.p <= 1
    assert there.interval.low <= there.delta <= there.interval.high
    assert there.interval == pytest.approx((-back.interval.high, -back.interval.low))


@settings(deadline=None, max_examples=60)
@given(HITS)
def test_the_paired_test_is_the_binomial_one_on_the_samples_that_changed(pairs):
    before, after = (np.array(column) for column in zip(*pairs, strict=True))
    found = paired(before, after)
    changed = found.lost + found.gained
    assert found.p == pytest.approx(binomtest(found.lost, changed, 0.5).pvalue if changed else 1.0)


@settings(deadline=None, max_examples=40)
@given(HITS, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    one, other = (paired(*(np.array(column) for column in zip(*some, strict=True))) for some in (pairs, shuffled))
    assert (one.lost, one.gained, one.p) == (other.lost, other.gained, other.p)


def test_a_known_mcnemar_table():
    """Agresti, Categorical Data Analysis: 59 against 16 discordant pairs; exact two-sided p."""
    before = np.array([True] * 59 + [False] * 16 + [True] * 80 + [False] * 6)
    after = np.array([False] * 59 + [True] * 16 + [True] * 80 + [False] * 6)
    found = paired(before, after)
    assert found.p == pytest.approx(2 * sum(math.comb(75, k) for k in range(17)) / 2**75)
    assert (found.count, found.lost, found.gained) == (161, 59, 16)


def test_wilson_and_mcnemar_are_those_of_statsmodels():
    from statsmodels.stats.contingency_tables import mcnemar
    from statsmodels.stats.proportion import proportion_confint

    for count in (1, 5, 97, 5000):
        for hits in {0, 1, count // 3, count - 1, count}:
            low, high = proportion_confint(hits, count, 0.05, method="wilson")
            assert wilson(hits, count) == pytest.approx((low, high), abs=1e-15)
    before, after = np.random.default_rng(0).uniform(size=(2, 300)) < [[0.7], [0.6]]
    lost, gained = (before & ~after).sum(), (~before & after).sum()
    assert paired(before, after).p == mcnemar([[0, lost], [gained, 0]], exact=True).pvalue


def test_no_difference_and_no_sample():
    same = np.array([True, False, True])
    assert paired(same, same).p == 1 and paired(same, same).delta == 0
    assert paired(same, same).interval.low < 0 < paired(same, same).interval.high  # nothing changed here is not nothing changes
    assert paired(np.array([], bool), np.array([], bool)) is None
    with pytest.raises(ValueError, match="not the same samples"):
        paired(same, same[:2])


def plain_newcombe(both, lost, gained, neither):
    """Method 10 as Newcombe (1998) writes it, p1 before and p2 after, of p1 - p2."""
    n = both + lost + gained + neither
    z = 1.959963984540054

    def score(p):
        centre, reach = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return (centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n)

    p1, p2 = (both + lost) / n, (both + gained) / n
    (l1, u1), (l2, u2) = score(p1), score(p2)
    a, b, c, d = both, lost, gained, neither
    product = (a + b) * (c + d) * (a + c) * (b + d)
    if product == 0:
        phi = 0
    elif a * d - b * c > n / 2:
        phi = (a * d - b * c - n / 2) / math.sqrt(product)
    elif a * d - b * c >= 0:
        phi = 0
    else:
        phi = (a * d - b * c) / math.sqrt(product)
    down = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    up = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return p1 - p2 - math.sqrt(down), p1 - p2 + math.sqrt(up)


COUNTS = st.integers(0, 200)


@settings(deadline=None, max_examples=100)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_newcombe_s_interval_is_the_plain_one_and_never_empty(both, lost, gained, neither):
    if both + lost + gained + neither == 0:
        assert newcombe(0, 0, 0, 0) is None
        return
    low, high = plain_newcombe(both, lost, gained, neither)
    found = newcombe(both, lost, gained, neither)
    assert found == pytest.approx((-high, -low), abs=1e-9)
    assert found.high - found.low > 1e-4 and found.low >= -1 and found.high <= 1


@settings(deadline=None, max_examples=12)
@given(st.integers(100, 3000), st.integers(20, 200), st.integers(20, 200), st.integers(50, 500))
def test_with_a_hundred_discordant_pairs_newcombe_s_is_the_bootstrap_s(both, lost, gained, neither):
    lost += max(0, 100 - lost - gained)
    counts = np.array([both, lost, gained, neither])
    drawn = np.random.default_rng(0).multinomial(counts.sum(), counts / counts.sum(), size=100_000)
    low, high = np.percentile((drawn[:, 2] - drawn[:, 1]) / counts.sum(), [2.5, 97.5])
    step = 1 / counts.sum()  # the bootstrap's ends are whole samples
    assert newcombe(*counts.tolist()) == pytest.approx((low, high), abs=0.05 * (high - low) + step)


def test_wilson_holds_the_share_and_narrows_with_samples():
    small, large = wilson(8, 10), wilson(800, 1000)
    assert small.low < large.low < 0.8 < large.high < small.high
    assert wilson(0, 5).low == 0 and wilson(5, 5).high == pytest.approx(1) and wilson(0, 0) is None


def test_bootstrap_covers_a_known_mean_and_answers_the_same_again():
    generator = np.random.default_rng(3)
    draws = [generator.normal(2.0, 1.0, 60) for _ in range(60)]
    covered = [bootstrap_mean(draw) for draw in draws]
    assert 0.85 <= np.mean([interval.low <= 2.0 <= interval.high for interval in covered]) <= 1.0
    assert bootstrap_mean(draws[0]) == covered[0]


def test_what_cannot_be_resampled_has_no_interval():
    for values in ([3.0], [], [1.0, math.inf]):
        assert bootstrap_mean(np.array(values)) is None


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_keeps_order_and_absence_and_never_helps(p_values):
    corrected = holm(p_values)
    assert [p is None for p in corrected] == [p is None for p in p_values]
    known = [(p, c) for p, c in zip(p_values, corrected, strict=True) if p is not None]
    assert all(c >= p - 1e-12 and c <= 1 for p, c in known)
    ranked = sorted(known)
    assert all(a[1] <= b[1] + 1e-12 for a, b in itertools.pairwise(ranked))
    if known:
        assert min(c for _, c in known) == pytest.approx(min(1.0, len(known) * min(p for p, _ in known)))


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(0).uniform(0, 0.2, 40).round(2)  # with ties
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1].tolist()) and holm([]) == []


def test_holm_s_own_example():
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])


def test_random_controls_are_no_hypotheses():
    """25 random draws beside two hypotheses must not cost these anything."""
    hypotheses = {"high_ccs": 0.009, "low_ccs": 0.2}
    controls = {f"random/{seed}": 0.001 for seed in range(25)}
    found = holm_in_family(hypotheses | controls, hypotheses)
    assert found["high_ccs"] == pytest.approx(0.018) and found["low_ccs"] == pytest.approx(0.2)
    assert all(found[name] is None for name in controls)
    with pytest.raises(ValueError, match="concept/animals belong to the family but were not compared"):
        holm_in_family(hypotheses, ["concept/animals"])


def test_a_single_value_has_no_spread():
    assert spread([0.5]).sd is None and spread([]) is None and spread([0.4, 0.6]).sd == pytest.approx(math.sqrt(0.02))
