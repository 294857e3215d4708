"""Margins and log-probabilities against plain loops."""

import math

import numpy as np
import pytest
import torch

from ccs_exp.errors import CcsError
from ccs_exp.tasks.margins import log_probabilities, margins, right_margins


def similarities(conditions=3, images=5, classes=4):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(conditions, images, classes, generator=generator), torch.randint(classes, (images,), generator=generator)


def test_margins_and_log_probabilities_are_the_plain_loops():
    values, targets = similarities()
    of_margin, of_softmax = margins(values, targets, 10.0), log_probabilities(values, targets, 10.0)
    of_sigmoid = log_probabilities(values, targets, 10.0, bias=-4.0)
    for condition in range(3):
        for image, right in enumerate(targets.tolist()):
            logits = [10 * float(value) for value in values[condition, image]]
            others = [value for place, value in enumerate(logits) if place != right]
            assert of_margin[condition, image] == pytest.approx(logits[right] - max(others), abs=1e-5)
            softmax = math.exp(logits[right]) / sum(map(math.exp, logits))
            assert of_softmax[condition, image] == pytest.approx(math.log(softmax), abs=1e-5)
            yes = [1 / (1 + math.exp(-(value - 4))) for value in logits]
            loss = -sum(math.log(p if place == right else 1 - p) for place, p in enumerate(yes))
            assert of_sigmoid[condition, image] == pytest.approx(-loss, abs=1e-4)


def test_a_task_of_one_class_has_no_margin():
    with pytest.raises(CcsError, match="at least two different values"):
        margins(torch.ones(2, 1), torch.zeros(2, dtype=torch.long), 1.0)


def test_right_margins_are_the_plain_loops_and_absent_where_a_video_is():
    rng = np.random.default_rng(0)
    values, owner, target = rng.normal(size=(6, 5)), np.array([0, 0, 1, 2, 3]), np.array([0, 1, 2, 3, 0, 2])
    values[:, 4] = -np.inf  # a video that could not be decoded
    for query, found in enumerate(right_margins(values, owner, target)):
        right = [values[query, place] for place in range(5) if owner[place] == target[query]]
        wrong = [values[query, place] for place in range(5) if owner[place] != target[query]]
        assert np.isnan(found) if target[query] == 3 else found == pytest.approx(max(right) - max(wrong))
    assert np.isnan(right_margins(values[:1], np.zeros(5, int), np.zeros(1, int)))  # no wrong one
