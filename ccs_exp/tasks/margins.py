"""By how much the right answer wins, per sample: margins in logits, and log-probabilities in nats."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.errors import CcsError


def margins(
    similarities: Float[Tensor, "*conditions images classes"], targets: Int[Tensor, " images"], scale: float
) -> Float[Tensor, "*conditions images"]:
    """``scale (e . t_y - max e . t_y')`` over the classes y' that are not the right one y, in logits.

    Raises `CcsError` for a task of a single class.
    """
    if similarities.shape[-1] < 2:
        raise CcsError("A task of one class has no margin: give its column at least two different values, or leave it out.")
    right = targets.expand(similarities.shape[:-1])[..., None]
    others = similarities.scatter(-1, right, -torch.inf)
    return scale * (similarities.gather(-1, right)[..., 0] - others.amax(dim=-1))


def log_probabilities(
    similarities: Float[Tensor, "*conditions images classes"],
    targets: Int[Tensor, " images"],
    scale: float,
    bias: float | None = None,
) -> Float[Tensor, "*conditions images"]:
    """Log-probability of the right class, in nats: of the softmax over all classes; of a model with a `bias` its own loss.

    Models trained with sigmoids take every pair of image and class for a question of its own: their loss is minus the sum over all
    classes of the log-probability of the right answer, yes for the image's class and no for the others.
    """
    right = targets.expand(similarities.shape[:-1])[..., None]
    logits = scale * similarities
    if bias is None:
        return F.log_softmax(logits, dim=-1).gather(-1, right)[..., 0]
    logits = logits + bias
    # log sigmoid(z) is log sigmoid(-z) + z
    return F.logsigmoid(-logits).sum(dim=-1) + logits.gather(-1, right)[..., 0]


def right_margins(
    similarities: Float[np.ndarray, "queries candidates"],
    owner: Int[np.ndarray, " candidates"],
    target: Int[np.ndarray, " queries"],
) -> Float[np.ndarray, " queries"]:
    """Retrieval: the similarity of each query's best right candidate minus that of its best wrong one.

    Candidate ``j`` is right for query ``i`` if ``owner[j] == target[i]``. NaN for a query whose right candidates have no embedding
    (similarity -inf), or that has no wrong one. One query at a time, so that memory is that of the similarities.
    """
    found = np.full(len(target), np.nan)
    for query, wanted in enumerate(target):
        right = owner == wanted
        if right.any() and not right.all():
            best, other = similarities[query, right].max(), similarities[query, ~right].max()
            if np.isfinite(best):
                found[query] = best - other
    return found
