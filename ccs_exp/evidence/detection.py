"""Detection: does a head's contribution point to a text more on images that show it? (after delphi's detection score)

The score of an image is ``c_h(x) . t``, with ``c = u @ M`` never made: for each head and text ``M t`` has the length of the coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ccs_exp.evidence.concept_tests import ConceptTests, Task
from ccs_exp.scoring.phrases import Phrases
from ccs_exp.statistics.roc import Area, area

Values = Mapping[Task, frozenset[int]]  # of each task the values that a text names, one of which an image must have


def text_directions(
    maps: Float[Tensor, "heads k dim"], texts: Float[Tensor, "*heads texts dim"]
) -> Float[Tensor, "heads k texts"]:
    """``M t`` for texts of all heads, or each head's own."""
    return maps @ texts.to(maps).transpose(-1, -2)


def along_texts(
    coefficients: Float[Tensor, "batch heads k"], directions: Float[Tensor, "heads k texts"]
) -> Float[Tensor, "batch heads texts"]:
    """``c_h(x) . t``"""
    return torch.einsum("bhk,hkt->bht", coefficients, directions.to(coefficients))


class NamedValues:
    """Finds in a text the classes of the tasks at hand: whole words, any case, singular and plural, the longest first."""

    def __init__(self, class_names: Mapping[Task, Sequence[str]]) -> None:
        self._phrases = Phrases()
        self._values: dict[str, tuple[Task, int]] = {}
        for task, names in class_names.items():
            for value, name in enumerate(names):
                key = f"{task}\t{value}"
                self._values[key] = (task, value)
                self._phrases.add(name.replace("_", " "), key)

    def of(self, text: str) -> Values:
        """Empty for a text that no task tests."""
        found: dict[Task, frozenset[int]] = {}
        for key in sorted(self._phrases.find(text)):  # the same in every process
            task, value = self._values[key]
            found[task] = found.get(task, frozenset()) | {value}
        return found


def detect(
    scores: Float[np.ndarray, " images"],
    named: Values,
    targets: Mapping[Task, Int[np.ndarray, " images"]],
) -> Area | None:
    """The area between images that have what a text names and those that do not.

    Of several values of one task an image needs one, of several tasks all; images that one of the tasks does not have (a negative
    target) are left out. None for a text that names nothing, or where all images have it or none.
    """
    if not named:
        return None
    known = np.logical_and.reduce([targets[task] >= 0 for task in named])
    has: Bool[np.ndarray, " images"] = np.logical_and.reduce(
        [np.isin(targets[task], list(values)) for task, values in named.items()]
    )
    return area(scores[known], has[known])


def detect_factor(
    scores: Float[np.ndarray, "images values"],
    target: Int[np.ndarray, " images"],
) -> Area | None:
    """For a label that names a factor ("colors"): the area of each value against the rest, averaged.

    Args:
        scores: ``c_h(x) . t_v`` with the embedding of each value's own prompts. By a single text's score, such as the label's, the
            average would be 0.5 whatever the head does: what one value wins the others lose.
        target: values from 0; negative for an image that does not have the factor.
    """
    known = target >= 0
    positive = target[known] == np.arange(scores.shape[1])[:, None]
    return area(scores[known].T, positive)


def factor_of(label: str | None, tasks: Sequence[Task], tests: ConceptTests) -> Task | None:
    """The first task that tests a label's concept."""
    return next((task for task in tasks if tests.tests(label, task)), None)
