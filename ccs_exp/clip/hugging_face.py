"""Models of open_clip whose text tower or tokenizer is one of Hugging Face's `transformers`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import open_clip

from ccs_exp.errors import CcsError, NotHere

Part = Literal["hf_model_name", "hf_tokenizer_name"]
PARTS: dict[Part, str] = {"hf_model_name": "text tower", "hf_tokenizer_name": "tokenizer"}
_INSTEAD = "or choose a model with a text tower and tokenizer of open_clip's own, such as model.name=ViT-B-32"


def repositories(name: str) -> dict[Part, str]:
    """The repositories of the hub that parts of open_clip's model come from."""
    text = (open_clip.get_model_config(name) or {}).get("text_cfg", {})
    return {part: text[part] for part in PARTS if text.get(part)}


@contextmanager
def from_hugging_face(name: str, part: Part) -> Iterator[None]:
    """Around open_clip's building of that part of a model; does nothing for models that have their own.

    Raises `CcsError` where `transformers` is not installed or does not load the part; `NotHere` where that is neither in the hub's cache
    nor to be downloaded.
    """
    repository = repositories(name).get(part)
    if repository is None:
        yield
        return
    noun = PARTS[part]
    try:
        import transformers  # noqa: F401  # open_clip's own try hides why it failed
    except ImportError as error:
        raise CcsError(
            f"{name} has the {noun} {repository} of Hugging Face's transformers, which cannot be imported ({error}). "
            f'pip install "ccs_exp[hf]", {_INSTEAD}.'
        ) from error
    try:
        yield
    except Exception as error:  # transformers and the hub's client raise many kinds; each means that the part is not to be had
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        what = f"{name} has the {noun} {repository} of Hugging Face's transformers, which"
        if isinstance(error, OSError):  # so transformers and the hub's client say that files are not to be had
            raise NotHere(
                f"{what} is not in the hub's cache and cannot be fetched ({reason[:200]}). Connect to the network, {_INSTEAD}."
            ) from error
        raise CcsError(
            f"{what} does not load ({type(error).__name__}: {reason[:200]}). Install what it asks for, or fetch it again, {_INSTEAD}."
        ) from error
