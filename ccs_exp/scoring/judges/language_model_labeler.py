"""A language model as labeler (paper, section 4.1.2): five worked examples, then the five descriptions of a head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccs_exp.llm.asker import Asker
from ccs_exp.llm.forecast import Forecast
from ccs_exp.llm.prompts import numbered, read_prompt
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.request import ChatRequest
from ccs_exp.llm.session import Session
from ccs_exp.scoring.judges.answers import Answer, Subject
from ccs_exp.scoring.judges.examples import read_examples
from ccs_exp.scoring.spans import HeadSpans


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
        subjects = [Subject("label", head.descriptions) for head in heads]
        return [
            self.asker.request(
                self.prompt.fill(descriptions=numbered(subject.descriptions)), subject.schema, subject, self.prompt.sha256, draw
            )
            for subject in subjects
        ]


def label_in(kept: Kept | None) -> str | None:
    """The label that a reply gives; None where there is none. Raises `Rejected` for a reply that is no answer."""
    answer: Answer | None = kept.answer if kept else None
    return answer.values[0] if answer else None
