"""Accuracies that answers would have that know nothing of the questions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

OF_CLASSES = "Prompts may not say what the classes are, images may not be what their names say, or the model knows nothing of them."
OF_CAPTIONS = "Captions may not be those of what they are beside, or the model knows nothing of it."


def blind_share(targets: Int[np.ndarray, " samples"], predictions: Int[np.ndarray, " samples"]) -> float:
    """The share of hits to be expected if the same answers came in any other order: the agreement by chance of Cohen's kappa.

    A class that is always answered has that class's share, even guessing one over the number of classes.
    """
    classes = int(max(targets.max(), predictions.max())) + 1
    of_targets, of_predictions = (np.bincount(found, minlength=classes) / len(found) for found in (targets, predictions))
    return float(of_targets @ of_predictions)


def no_better_than_chance(metric: str, hits: int, count: int, chance: float, aside: str = OF_CLASSES) -> list[str]:
    """A warning where `hits` of `count` are not above the central 95% of a binomial distribution with the share `chance`; else none.

    `aside`: what may be the reason.
    """
    from scipy.stats import binom

    low, high = (float(end) / count for end in binom.interval(0.95, count, chance))
    if hits / count > high:
        return []
    return [
        f"{metric} of the original model is {hits / count:.1%} of {count:,}: no better than answers that know nothing of the question "
        f"({low:.1%} to {high:.1%}). {aside}"
    ]
