"""Models of open_clip whose text tower or tokenizer is one of Hugging Face's `transformers`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import open_clip

from ccs_exp.errors import CcsError

_INSTEAD = "or choose a model with a text tower and tokenizer of open_clip's own, such as model.name=ViT-B-32"


@contextmanager
def from_hugging_face(name: str, part: Literal["hf_model_name", "hf_tokenizer_name"]) -> Iterator[None]:
    """Around open_clip's building of that part of a model; does nothing for models that have their own.

    Raises `CcsError` where `transformers` is not installed, or what it needs is neither in the hub's cache nor to be downloaded.
    """
    repository = (open_clip.get_model_config(name) or {}).get("text_cfg", {}).get(part)
    if repository is None:
        yield
        return
    noun = "text tower" if part == "hf_model_name" else "tokenizer"
    try:
        import transformers  # noqa: F401  # open_clip's own try hides why it failed
    except ImportError as error:
        raise CcsError(
            f"{name} has the {noun} {repository} of Hugging Face's transformers, which cannot be imported ({error}). "
            f"pip install transformers, {_INSTEAD}."
        ) from error
    try:
        yield
    except Exception as error:  # transformers and the hub's client raise many kinds; each means that the part is not to be had
        reason = " ".join(str(error).split())
        raise CcsError(
            f"{name} has the {noun} {repository} of Hugging Face's transformers, which does not load "
            f"({type(error).__name__}: {reason[:200]}). Connect to the network once, so that it comes into the hub's cache, {_INSTEAD}."
        ) from error
