"""A judge without a language model that answers: a description is aligned if its embedding is near enough to the label's."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ccs_exp.errors import CcsError
from ccs_exp.scoring.judges.judge import Question, Verdict

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_EXTRA = "pip install 'ccs_exp[embedding]'"


class EmbeddingJudge:
    """Cosine similarity of description and label, by a sentence-transformers model, against a fixed threshold.

    Descriptions are embedded as they are. A label is embedded as `label_wording` says, underscores read as spaces
    (the taxonomy's "art_styles"). The bare label is the default: a wording such as "a photo of {}" makes every
    description that speaks of photos similar to every label. A text without letters or digits cannot be embedded to any
    purpose, so its question is unjudged. Runs on the CPU, where the same texts give the same verdicts.
    """

    name = "embedding"

    def __init__(self, model: str, threshold: float, revision: str | None = None, label_wording: str = "{}") -> None:
        """Load the model.

        Args:
            model: a name on the Hugging Face hub, or a local folder that sentence-transformers saved (needs no network).
            threshold: the least cosine similarity that is aligned, -1 to 1. It belongs to the model: see `conf/judge/embedding.yaml`.
            revision: of a model on the hub; None is the newest.
            label_wording: ``{}`` stands for the label.

        Raises:
            CcsError: the optional package is not installed, the model cannot be loaded, or a setting is out of range.
        """
        if not -1 <= threshold <= 1:
            raise CcsError(f"judge.threshold={threshold}: a cosine similarity lies between -1 and 1; all-MiniLM-L6-v2 has 0.2.")
        if "{}" not in label_wording:
            raise CcsError(f"judge.label_wording={label_wording!r} has no {{}} where the label belongs.")
        self.threshold, self.label_wording = threshold, label_wording
        self._model = _load(model, revision)

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict a question, in the same order; every distinct text is embedded once."""
        return verdicts(self.similarities(questions), self.threshold)

    def similarities(self, questions: Sequence[Question]) -> Float[np.ndarray, " questions"]:
        """Cosine similarity of description and label, NaN where one of them cannot be embedded."""
        pairs = [(question.description, self._worded(question.label)) for question in questions]
        texts = sorted({text for pair in pairs for text in pair if _has_words(text)})
        if not texts:
            return np.full(len(pairs), np.nan)
        embedded = _normalised(self.embed(texts))
        row = {text: index for index, text in enumerate(texts)}
        return np.array([embedded[row[a]] @ embedded[row[b]] if a in row and b in row else np.nan for a, b in pairs])

    def embed(self, texts: list[str]) -> Float[np.ndarray, "texts dimensions"]:
        """The texts as the model embeds them; NaN for one without letters or digits."""
        embedded = self._model.encode(texts, batch_size=64, convert_to_numpy=True, show_progress_bar=False)
        words = np.array([_has_words(text) for text in texts])
        return np.where(words[:, None], np.asarray(embedded, dtype=np.float64), np.nan)

    def _worded(self, label: str) -> str:
        label = " ".join(label.replace("_", " ").split())
        return self.label_wording.replace("{}", label) if _has_words(label) else ""


def verdicts(similarities: Float[np.ndarray, " questions"], threshold: float) -> list[Verdict]:
    """Aligned from the threshold on, not aligned below it, unjudged where there is no similarity."""
    return [
        Verdict.UNJUDGED if not np.isfinite(value) else Verdict.ALIGNED if value >= threshold else Verdict.NOT_ALIGNED
        for value in similarities
    ]


def _has_words(text: str) -> bool:
    return any(sign.isalnum() for sign in text)


def _normalised(embedded: Float[np.ndarray, "texts dimensions"]) -> Float[np.ndarray, "texts dimensions"]:
    norms = np.linalg.norm(embedded, axis=1, keepdims=True)
    return np.divide(embedded, norms, out=np.full_like(embedded, np.nan), where=norms > 0)


def _load(model: str, revision: str | None) -> SentenceTransformer:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise CcsError(f"judge=embedding needs the package sentence-transformers, an optional extra: {_EXTRA}.")
    folder = Path(model).expanduser()
    local = folder.is_dir()
    if local and not (folder / "modules.json").is_file():
        raise CcsError(
            f"judge.model={model} is a folder without modules.json, so no model that sentence-transformers saved. Give the folder "
            "of one, or a name on the hub such as sentence-transformers/all-MiniLM-L6-v2."
        )
    if not local and (model.startswith((".", "/", "~")) or model.count("/") > 1):
        raise CcsError(
            f"judge.model={model}: there is no such folder. Give one that sentence-transformers saved, or a name on the hub."
        )

    from safetensors import SafetensorError

    # `transformers` says what it cannot load in many types of error
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        name = str(folder) if local else model
        return SentenceTransformer(name, device="cpu", revision=None if local else revision, local_files_only=local)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, AttributeError, SafetensorError) as error:
        first = str(error).strip().split("\n", 1)[0] if str(error).strip() else type(error).__name__
        raise CcsError(
            f"judge.model={model} could not be loaded ({type(error).__name__}: {first}). Without network, give a local folder: "
            "judge.model=DIR."
        ) from error
