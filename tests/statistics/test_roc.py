"""The area under the ROC curve against scikit-learn, plain loops and its own coverage."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ccs_exp.statistics.roc import area


def plain_delong(scores, positive):
    """DeLong's variance from all comparisons."""
    won = np.array([[1.0 if p > n else 0.5 if p == n else 0.0 for n in scores[~positive]] for p in scores[positive]])
    of_positives, of_negatives = won.mean(axis=1), won.mean(axis=0)
    return of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives)


def test_the_area_is_scikit_learn_s_and_the_interval_delong_s():
    rng = np.random.default_rng(0)
    positive = rng.random(80) < 0.3
    scores = np.round(rng.normal(size=80) + positive, 1)  # with ties
    found = area(scores, positive)
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert (found.positives, found.negatives) == (positive.sum(), (~positive).sum())
    reach = 1.959964 * np.sqrt(plain_delong(scores, positive)) / (found.value * (1 - found.value))
    logit = np.log(found.value / (1 - found.value))
    assert found.interval == pytest.approx([1 / (1 + np.exp(-logit + reach)), 1 / (1 + np.exp(-logit - reach))], rel=1e-5)


def test_several_rows_are_averaged_and_their_interval_covers():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        classes = rng.integers(3, size=90)
        positive = classes == np.arange(3)[:, None]
        scores = rng.normal(size=(3, 90)) + positive
        found = area(scores, positive)
        covered.append(found.interval.low <= 0.7602 <= found.interval.high)  # two normals one apart
    assert found.value == pytest.approx(np.mean([roc_auc_score(p, s) for p, s in zip(positive, scores, strict=True)]))
    assert 0.9 <= np.mean(covered) <= 0.99


def test_what_cannot_be_separated_has_no_area():
    assert area(np.arange(4.0), np.ones(4, bool)) is None and area(np.empty(0), np.empty(0, bool)) is None
    perfect = area(np.arange(4.0), np.array([False, False, True, True]))
    assert perfect.value == 1 and perfect.interval is None
    assert area(np.array([0.0, 2.0, 1.0]), np.array([False, False, True])).interval is None
