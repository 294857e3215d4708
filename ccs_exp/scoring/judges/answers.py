"""From a reply to an answer: checked in full, or rejected with the reason. A reply is never guessed at."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccs_exp.llm.request import Subject
from ccs_exp.scoring.judges.judge import Verdict

LONGEST_LABEL = 60  # characters: more than that is a sentence

_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_THOUGHTS = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_WORDS = {"aligned": Verdict.ALIGNED, "not_aligned": Verdict.NOT_ALIGNED}


class Rejected(Exception):
    """A reply that is no answer. `kind`: refused, filtered, truncated, empty or unusable."""

    def __init__(self, kind: str, detail: str = ""):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


@dataclass(frozen=True)
class Answer:
    """What a reply says: one label, or one verdict for each description, with the probability of ``aligned`` where known."""

    values: tuple[str, ...]
    p_aligned: tuple[float | None, ...]
    model: str | None
    fingerprint: str | None


def schema(subject: Subject) -> dict[str, Any]:
    """The JSON schema of a reply, as structured outputs take it."""
    properties = {name: {"type": "string", "enum": list(_WORDS)} for name in _names(subject)}
    if subject.purpose == "label":
        properties = {"label": {"type": "string"}}
    content = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": subject.purpose, "strict": True, "schema": content}}


def read_answer(subject: Subject, response: Any) -> Answer:
    """The answer in a chat completion. Raises `Rejected` for refusals, filtered, truncated, unparsable and invalid replies."""
    content, choice = _content(response)
    found = _object(content)
    names = ("label",) if subject.purpose == "label" else _names(subject)
    missing = [name for name in names if not isinstance(found.get(name), str)]
    if missing:
        raise Rejected("unusable", f"no text under {', '.join(missing)} in {content[:200]!r}")
    told = response.get("model"), response.get("system_fingerprint")
    model, fingerprint = (text if isinstance(text, str) else None for text in told)
    if subject.purpose == "label":
        return Answer((_label(found["label"]),), (None,), model, fingerprint)
    values = tuple(_verdict(found[name]).value for name in names)
    return Answer(values, tuple(_p_aligned(content, name, choice) for name in names), model, fingerprint)


def _content(response: Any) -> tuple[str, Mapping[str, Any]]:
    try:
        choice = response["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Rejected("unusable", "no chat completion") from error
    if refusal:
        raise Rejected("refused", str(refusal)[:200])
    if finish == "content_filter":
        raise Rejected("filtered", str(content)[:200])
    if finish == "length":
        raise Rejected("truncated", f"ended at the limit of tokens: {str(content)[:200]!r}")
    if not isinstance(content, str) or not content.strip():
        raise Rejected("empty")
    return content, choice


def _object(content: str) -> dict[str, Any]:
    """The JSON object that a text is, alone or in a fence, thoughts before it left out."""
    text = _THOUGHTS.sub("", content.lstrip("\ufeff")).strip()
    fenced = _FENCE.fullmatch(text)
    try:
        found = json.loads(fenced[1] if fenced else text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise Rejected("unusable", f"no JSON: {content[:200]!r}") from error
    if not isinstance(found, dict):
        raise Rejected("unusable", f"no JSON object: {content[:200]!r}")
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _label(text: str) -> str:
    label = " ".join(text.split()).strip("\"'“”.").strip()
    if not label or not any(sign.isalnum() for sign in label):
        raise Rejected("unusable", f"no label: {text[:200]!r}")
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise Rejected("unusable", f"a label of at most {LONGEST_LABEL} characters was asked for: {text[:200]!r}")
    return label


def _verdict(text: str) -> Verdict:
    """Case and separators do not matter; any other word is no verdict, however it may have been meant."""
    word = re.sub(r"[\s-]+", "_", text.strip().casefold())
    if word not in _WORDS:
        raise Rejected("unusable", f"{text[:200]!r} is no verdict")
    return _WORDS[word]


def _names(subject: Subject) -> tuple[str, ...]:
    if not subject.numbered:
        return ("verdict",)
    return tuple(f"verdict_{number}" for number in range(1, len(subject.descriptions) + 1))


def _p_aligned(content: str, name: str, choice: Mapping[str, Any]) -> float | None:
    """P(aligned) / (P(aligned) + P(not_aligned)) at the token with which the verdict starts; None without log-probabilities."""
    place = re.search(rf'"{name}"\s*:\s*"\s*', content)
    try:
        tokens = choice["logprobs"]["content"]
        position = 0
        for token in tokens or ():
            start, position = position, position + len(token["token"])
            if place is not None and position > place.end():
                before = token["token"][: place.end() - start]  # the quotation mark may be part of the token
                return _share(before, token["top_logprobs"])
    except (KeyError, TypeError, AttributeError):
        return None
    return None


def _share(before: str, alternatives: list[Mapping[str, Any]]) -> float | None:
    sums = {"aligned": 0.0, "not_aligned": 0.0}
    for alternative in alternatives:
        start = alternative["token"].removeprefix(before).strip('"').casefold()
        for word in sums:
            if start and (word.startswith(start) or start.startswith(word)):
                sums[word] += math.exp(min(0.0, alternative["logprob"]))
    total = sum(sums.values())
    return sums["aligned"] / total if total else None
