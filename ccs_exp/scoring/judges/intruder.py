"""A language model that finds the description which does not belong (`ccs_exp.evidence.intruder`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.prompts import read_prompt
from ccs_exp.llm.request import ChatRequest
from ccs_exp.scoring.judges.answers import Answer, Subject

if TYPE_CHECKING:
    from ccs_exp.scoring.judges.language_model import OpenAIJudge


class LanguageModelChooser:
    """Asks the model of a judge, within the judge's session: the same kept replies, record and limit of cost."""

    def __init__(self, judge: OpenAIJudge) -> None:
        self._asker, self.name = judge.asker, judge.name
        self._prompt = read_prompt(None, "intruder.txt", ("descriptions",))

    def choose(self, questions: Sequence[tuple[str, ...]]) -> list[frozenset[int] | None]:
        """The place, from 0, of the text that does not belong; None where the model gave no answer in all attempts."""
        answers: list[Answer | None] = [kept.answer for kept in self._asker.ask("intruders", self._requests(questions))]
        return [None if answer is None else frozenset({int(answer.values[0]) - 1}) for answer in answers]

    def forecast(self, questions: Sequence[tuple[str, ...]]) -> list[Forecast]:
        """What choosing would take. Nothing is asked."""
        return self._asker.forecast("intruders", self._requests(questions))

    def _requests(self, questions: Sequence[tuple[str, ...]]) -> list[ChatRequest]:
        return self._asker.requests(self._prompt, [Subject("intruder", texts) for texts in questions])
