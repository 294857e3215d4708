"""A checkpoint's preprocessing with OpenAI's mean and standard deviation in the place of its own."""

from __future__ import annotations

from collections.abc import Callable

from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torchvision.transforms import Compose, Normalize

from ccs_exp.errors import CcsError


def with_openai_statistics(transform: Callable) -> Callable:
    """The same steps, normalised by OpenAI's numbers: what the paper's video retrieval does for every model.

    Raises `CcsError` if `transform` is not made of steps with one normalisation among them.
    """
    steps = transform.transforms if isinstance(transform, Compose) else []
    if sum(isinstance(step, Normalize) for step in steps) != 1:
        raise CcsError(
            "protocol=paper needs a model whose preprocessing normalises once, as open_clip's do. Use protocol=standard."
        )
    openai = Normalize(OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    return Compose([openai if isinstance(step, Normalize) else step for step in steps])
