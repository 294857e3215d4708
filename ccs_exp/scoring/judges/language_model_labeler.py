"""A language model as labeler (paper, section 4.1.2): five worked examples, then the five descriptions of a head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS
from ccs_exp.llm.asker import Asker
from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.prompts import Prompt, numbered, read_prompt
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.request import ChatRequest
from ccs_exp.llm.session import Session
from ccs_exp.scoring.judges.answers import Answer, Subject
from ccs_exp.scoring.spans import HeadSpans, read_spans

_BUNDLED = "bundled:"


@dataclass(frozen=True)
class Examples:
    """Worked examples of one's own choice: heads with their descriptions and the labels that people gave them (paper, section 4.1.2).

    `labels`: of heads by name and descriptions; a head of that name with other descriptions is another model's.
    """

    heads: tuple[HeadSpans, ...]

    @property
    def labels(self) -> Mapping[tuple[str, tuple[str, ...]], str]:
        return {(str(head.head), head.descriptions): head.label or "" for head in self.heads}

    def label(self, head: HeadSpans) -> str | None:
        """The label that was given to this very head, if it is one of the examples."""
        return self.labels.get((str(head.head), head.descriptions))

    def others(self, heads: Sequence[HeadSpans]) -> list[HeadSpans]:
        """The heads without a given label."""
        return [head for head in heads if self.label(head) is None]

    def joined(self, heads: Sequence[HeadSpans], of_others: Sequence[str | None]) -> list[str | None]:
        """One label a head: the given ones, and those `of_others` in their order."""
        rest = iter(of_others)
        return [given if (given := self.label(head)) is not None else next(rest) for head in heads]

    def in_prompt(self, prompt: Prompt) -> Prompt:
        """The prompt with these examples in the place of its own, which stand between its system message and the head asked about."""
        asked = prompt.messages[-1]
        before = [message for message in prompt.messages[:-1] if message[0] == "system"]
        shown = []
        for head in self.heads:
            texts = {"user": numbered(head.descriptions), "assistant": json.dumps({"label": head.label}, ensure_ascii=False)}
            shown += [(role, Template(text.replace("$", "$$"))) for role, text in texts.items()]
        messages = (*before, *shown, asked)
        content = json.dumps([(role, template.template) for role, template in messages])
        return Prompt(prompt.name, messages, hashlib.sha256(content.encode()).hexdigest())


def read_examples(path: str | None) -> Examples:
    """Read a file of heads as ``spans=file`` takes them, each with a label; ``bundled:FILE`` is one in the package. None: no examples.

    Raises `CcsError` where there is no such file, it is not one, or a head has no label.
    """
    if path is None:
        return Examples(())
    place = ASSETS / path.removeprefix(_BUNDLED) if path.startswith(_BUNDLED) else Path(path).expanduser()
    if not place.is_file():
        raise CcsError(
            f"labeler.examples={path}: there is no such file. Give a CSV head,description_1..5,label or a JSON list of "
            f"{{head, top5, intel_label}}; the paper's Table 1 is {_BUNDLED}paper/examples.csv."
        )
    heads = read_spans(place)
    bare = [str(head.head) for head in heads if not head.label]
    if bare:
        raise CcsError(f"labeler.examples={path}: {', '.join(bare)} have no label. An example is a head's descriptions and its label.")
    return Examples(heads)


class OpenAILabeler:
    """Asks a model of OpenAI, or of any compatible server, for each head's concept; one request a head.

    Heads that are given as `examples` keep the labels given there, and are not asked about.
    """

    def __init__(self, *, prompt: str | None = None, examples: str | None = None, **settings: Any) -> None:
        """`prompt`: a file of one's own instead of ``conf/prompts/label.txt``; `settings`: see `Asker.of`.

        `examples`: a file of heads with descriptions and labels, as worked examples instead of the prompt's own (see `read_examples`).

        Raises `CcsError` for a prompt that cannot be used and for what the service does not support.
        """
        self.asker = Asker.of("labeler", **settings)
        self.examples = read_examples(examples)
        own = read_prompt(prompt, "label.txt", ("descriptions",))
        self.prompt = self.examples.in_prompt(own) if self.examples.heads else own
        self.name = self.asker.model

    @property
    def max_cost_usd(self) -> float | None:
        return self.asker.max_cost_usd

    def join(self, session: Session) -> None:
        self.asker.session = session

    def check_ready(self) -> None:
        self.asker.check_ready()

    def label(self, heads: Sequence[HeadSpans], draw: int = 0) -> list[str | None]:
        """One label a head, in the same order; None where the model gave none in all attempts. Another `draw` asks again."""
        kept = self.asker.ask("labels", self.requests(self.examples.others(heads), draw))
        return self.examples.joined(heads, [label_in(item) for item in kept])

    def kept_labels(self, heads: Sequence[HeadSpans]) -> list[str | None]:
        """The labels that are kept from earlier; nothing is asked."""
        kept = self.asker.kept(self.requests(self.examples.others(heads)))
        return self.examples.joined(heads, [label_in(item) for item in kept])

    def forecast(self, heads: Sequence[HeadSpans]) -> list[Forecast]:
        return self.asker.forecast("labels", self.requests(self.examples.others(heads)))

    def requests(self, heads: Sequence[HeadSpans], draw: int = 0) -> list[ChatRequest]:
        return self.asker.requests(self.prompt, [Subject("label", head.descriptions) for head in heads], draw)


def label_in(kept: Kept | None) -> str | None:
    """The label that a reply gives; None where there is none. Raises `Rejected` for a reply that is no answer."""
    answer: Answer | None = kept.answer if kept else None
    return answer.values[0] if answer else None
