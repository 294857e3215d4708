"""What language models are asked about, and from a reply to an answer: checked in full, or rejected with the reason, never guessed at."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from ccs_exp.files import parse_json
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.prompts import numbered, quoted
from ccs_exp.scoring.judges.judge import Verdict

Purpose = Literal["label", "verdicts", "intruder"]

LONGEST_LABEL = 60  # characters: more than that is a sentence

_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHTS = "</think>"  # the server's template may have opened them
_WORDS = {"aligned": Verdict.ALIGNED, "not_aligned": Verdict.NOT_ALIGNED}


@dataclass(frozen=True)
class Answer:
    """What a reply says: one label, one verdict for each description, with the probability of ``aligned`` where known, or a number."""

    values: tuple[str, ...]
    p_aligned: tuple[float | None, ...]
    model: str | None
    fingerprint: str | None


@dataclass(frozen=True)
class Subject:
    """What a request is about: a label is wanted for the descriptions, verdicts on them under `label`, or which does not belong.

    `numbered`: the descriptions stand in a numbered list, even if there is only one of them.
    """

    purpose: Purpose
    descriptions: tuple[str, ...]
    label: str | None = None
    numbered: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"descriptions": list(self.descriptions)}

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The inverse of `as_json`. Raises ValueError, KeyError or TypeError for what is none."""
        subject = cls(found["purpose"], tuple(map(str, found["descriptions"])), found["label"], bool(found["numbered"]))
        if subject.purpose not in ("label", "verdicts", "intruder") or not subject.descriptions:
            raise ValueError("it is neither about a label nor about verdicts or intruders")
        return subject

    @property
    def answer_tokens(self) -> int:
        """About how many tokens an answer has."""
        return 10 if len(self.descriptions) == 1 or self.purpose != "verdicts" else 50

    @property
    def names(self) -> tuple[str, ...]:
        """What the entries of an answer are called."""
        if self.purpose == "label":
            return ("label",)
        if self.purpose == "intruder":
            return ("choice",)
        return tuple(f"verdict_{number}" for number in range(1, len(self.descriptions) + 1)) if self.numbered else ("verdict",)

    @property
    def places(self) -> dict[str, str]:
        """What fills the places of a prompt."""
        texts = {"descriptions": numbered(self.descriptions)} if self.numbered else {"description": quoted(self.descriptions[0])}
        return texts | ({"label": quoted(self.label or "")} if self.purpose == "verdicts" else {})

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a reply, as structured outputs take it."""
        kind: dict[str, Any] = {"type": "string"} if self.purpose == "label" else {"type": "string", "enum": list(_WORDS)}
        if self.purpose == "intruder":
            kind = {"type": "integer", "enum": list(range(1, len(self.descriptions) + 1))}
        properties = {name: dict(kind) for name in self.names}
        content = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
        return {"type": "json_schema", "json_schema": {"name": self.purpose, "strict": True, "schema": content}}

    def read(self, response: Any, strict: bool) -> Answer:
        """The answer in a chat completion.

        Raises `Rejected` for refusals, filtered, truncated, unparsable and invalid replies, and for half-valid ones: what the protocol
        forbids; with `strict` more than the schema allows; without, a second verdict beside those that were asked for.
        """
        content, choice = _content(response)
        thoughts = content.rfind(_END_OF_THOUGHTS) + len(_END_OF_THOUGHTS) if _END_OF_THOUGHTS in content else 0
        found = _object(content[thoughts:])
        if self.purpose == "intruder" and isinstance(found.get("choice"), int):  # True is a number to Python, and none of the choices
            found["choice"] = str(found["choice"])
        missing = [name for name in self.names if not isinstance(found.get(name), str)]
        if missing:
            raise Rejected("unusable", f"no text under {', '.join(missing)} in {_shown(content)}")
        more = [name for name in found if name not in self.names and (strict or _word(found[name]) in _WORDS)]
        if more:
            raise Rejected("unusable", f"{', '.join(map(repr, more))} beside what was asked for in {_shown(content)}")
        told = response.get("model"), response.get("system_fingerprint")
        model, fingerprint = (text if isinstance(text, str) else None for text in told)
        if self.purpose == "label":
            return Answer((_label(found["label"]),), (None,), model, fingerprint)
        if self.purpose == "intruder":
            return Answer((_choice(found["choice"], len(self.descriptions)),), (None,), model, fingerprint)
        values = tuple(_verdict(found[name]).value for name in self.names)
        shares = tuple(_p_aligned(re.compile(rf'"{name}"\s*:\s*"\s*').search(content, thoughts), choice) for name in self.names)
        return Answer(values, shares, model, fingerprint)


def _content(response: Any) -> tuple[str, Mapping[str, Any]]:
    try:
        choices, whole = response["choices"], response.get("object") != "chat.completion.chunk"
        choice = choices[0]
        error = response.get("error") or choice.get("error")
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
        calls = message.get("tool_calls") or message.get("function_call")  # as older servers have it
        role = message.get("role", "assistant")
    except (KeyError, IndexError, TypeError, AttributeError) as problem:
        raise Rejected("unusable", "no chat completion") from problem
    if error:
        raise Rejected("unusable", f"an error beside the answer: {str(error)[:200]}")
    if not whole:
        raise Rejected("unusable", "a piece of a stream, which was not asked for")
    if len(choices) != 1 or choice.get("index", 0) != 0:
        raise Rejected("unusable", "not the one answer that was asked for, but others or several")
    if refusal:
        raise Rejected("refused", str(refusal)[:200])
    if finish == "content_filter":
        raise Rejected("filtered", str(content)[:200])
    if finish == "length":
        raise Rejected("truncated", f"ended at the limit of tokens: {str(content)[:200]!r}")
    if finish != "stop" or calls:
        raise Rejected("unusable", f"no finished answer, but finish_reason {finish!r}: {str(content)[:200]!r}")
    if role != "assistant":
        raise Rejected("unusable", f"a message of the role {str(role)[:50]!r}, not of the assistant")
    if not isinstance(content, str) or not content.strip():
        raise Rejected("empty")
    return content, choice


def _object(content: str) -> dict[str, Any]:
    """The JSON object that a text is, alone or in a fence."""
    text = content.replace("\ufeff", "", 1).strip()
    fenced = _FENCE.fullmatch(text)
    try:
        found = parse_json(fenced[1] if fenced else text)
    except ValueError as error:
        raise Rejected("unusable", f"no JSON: {_shown(content)}") from error
    if not isinstance(found, dict):
        raise Rejected("unusable", f"no JSON object: {_shown(content)}")
    return found


def _shown(content: str) -> str:
    return repr(content if len(content) <= 200 else f"{content[:100]} ... {content[-95:]}")


def _label(text: str) -> str:
    label = " ".join(text.split()).strip("\"'“”.").strip()
    if not label or not any(sign.isalnum() for sign in label):
        raise Rejected("unusable", f"no label: {text[:200]!r}")
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise Rejected("unusable", f"a label of at most {LONGEST_LABEL} characters was asked for: {text[:200]!r}")
    return label


def _choice(text: str, count: int) -> str:
    """A number from 1 to `count`, as a text."""
    if text.strip() not in {str(number) for number in range(1, count + 1)}:
        raise Rejected("unusable", f"{text[:200]!r} is no number from 1 to {count}")
    return text.strip()


def _verdict(text: str) -> Verdict:
    """Case and separators do not matter; any other word is no verdict, however it may have been meant."""
    if _word(text) not in _WORDS:
        raise Rejected("unusable", f"{text[:200]!r} is no verdict")
    return _WORDS[_word(text)]


def _word(text: Any) -> str:
    return re.sub(r"[\s-]+", "_", text.strip().casefold()) if isinstance(text, str) else ""


def _p_aligned(place: re.Match[str] | None, choice: Mapping[str, Any]) -> float | None:
    """P(aligned) / (P(aligned) + P(not_aligned)) at the token with which the verdict starts; None without log-probabilities."""
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
