"""A language model as judge (paper, section 4.1.3). It sees a label and the description, never other heads nor the labeler's examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccs_exp.llm.asker import Asker
from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.prompts import read_prompt
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.session import Session
from ccs_exp.scoring.judges.answers import Answer, Subject
from ccs_exp.scoring.judges.judge import Question, Verdict
from ccs_exp.scoring.judges.opinion import Opinion, Spoken


class OpenAIJudge(Spoken):
    """Asks a model of OpenAI, or of any compatible server; one description a request, or the five of a head."""

    def __init__(self, *, descriptions_per_request: int = 1, prompt: str | None = None, **settings: Any) -> None:
        """`prompt`: a file of one's own instead of ``conf/prompts/judge_one.txt`` or ``judge_five.txt``; `settings`: see `Asker.of`.

        Raises `CcsError` for a prompt that cannot be used and for what the service does not support.
        """
        super().__init__()
        self.asker = Asker.of("judge", **settings)
        self.descriptions_per_request = descriptions_per_request
        single = descriptions_per_request == 1
        packaged, place = ("judge_one.txt", "description") if single else ("judge_five.txt", "descriptions")
        self.prompt = read_prompt(prompt, packaged, ("label", place))
        self.name = self.asker.model

    @property
    def max_cost_usd(self) -> float | None:
        return self.asker.max_cost_usd

    def join(self, session: Session) -> None:
        self.asker.session = session

    def check_ready(self) -> None:
        self.asker.check_ready()

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict a question, in the same order; unjudged where the model gave none in all attempts."""
        subjects = group(questions, self.descriptions_per_request)
        kept = zip(subjects, self.asker.ask("verdicts", self.asker.requests(self.prompt, subjects)), strict=True)
        return self.speak(opinion for subject, item in kept for opinion in opinions_in(subject, item, self.name))

    def forecast(self, questions: Sequence[Question]) -> list[Forecast]:
        subjects = group(questions, self.descriptions_per_request)
        return self.asker.forecast("verdicts", self.asker.requests(self.prompt, subjects))


def group(questions: Sequence[Question], size: int) -> list[Subject]:
    """Questions that follow each other under the same label, up to `size` in one request."""
    grouped: list[list[Question]] = []
    for question in questions:
        if not grouped or len(grouped[-1]) == size or grouped[-1][0].label != question.label:
            grouped.append([])
        grouped[-1].append(question)
    return [
        Subject("verdicts", tuple(item.description for item in items), items[0].label, numbered=size > 1) for items in grouped
    ]


def opinions_in(subject: Subject, kept: Kept, judge: str) -> list[Opinion]:
    """One opinion for each description that the reply is about."""
    answer: Answer | None = kept.answer
    questions = [Question(text, subject.label or "") for text in subject.descriptions]
    if answer is None:
        return [
            Opinion(judge, question, Verdict.UNJUDGED, model=kept.request.model, reason=kept.reason) for question in questions
        ]
    return [
        Opinion(judge, question, Verdict(value), share, answer.model, answer.fingerprint, kept.request.key)
        for question, value, share in zip(questions, answer.values, answer.p_aligned, strict=True)
    ]
