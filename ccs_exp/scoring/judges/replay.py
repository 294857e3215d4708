"""Labels and verdicts from kept replies alone: a published result, repeated by others without a key."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.errors import CcsError
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.replies import Kept, ReplyCache
from ccs_exp.llm.reply_files import read_replies
from ccs_exp.llm.session import Session
from ccs_exp.scoring.judges.answers import Purpose, Subject
from ccs_exp.scoring.judges.judge import Question, Verdict
from ccs_exp.scoring.judges.language_model import group, opinions_in
from ccs_exp.scoring.judges.language_model_labeler import label_in
from ccs_exp.scoring.judges.opinion import Spoken
from ccs_exp.scoring.spans import HeadSpans


class _Replay:
    """Kept replies of one purpose, found by what they are about."""

    name = "replay"
    max_cost_usd: float | None = None
    purpose: Purpose

    def __init__(self, replies: str | None = None, model: str | None = None, settings: str | None = None) -> None:
        """`replies`: a run folder, its replies.jsonl or a cache's folder; None: this user's cache. `model` and `settings` choose."""
        super().__init__()
        self.place = replies or str(ReplyCache().folder)
        self.model, self.settings = model, settings
        self.session = Session()
        self._found: dict[tuple[Subject, int], Kept] | None = None

    def join(self, session: Session) -> None:
        self.session = session

    def check_ready(self) -> None:
        """Reads the replies, so that there being none shows before anything else is done."""
        _ = self.found

    def forecast(self, subjects: object) -> list[Forecast]:
        return []

    @property
    def found(self) -> dict[tuple[Subject, int], Kept]:
        """The replies of the one model and settings that were chosen, or are the only ones, by draw (from 0)."""
        if self._found is None:
            kept = [
                (subject, item)
                for item in read_replies(self.place, Subject)
                if isinstance(subject := item.request.subject, Subject) and subject.purpose == self.purpose
            ]
            chosen = [
                (subject, item)
                for subject, item in kept
                if self.model in (None, item.request.model) and self.settings in (None, item.request.settings)
            ]
            kinds = sorted({(item.request.model, item.request.settings) for _, item in chosen})
            if len(kinds) != 1:
                there = kinds or sorted({(item.request.model, item.request.settings) for _, item in kept})
                listed = "; ".join(f"model={model} settings={settings}" for model, settings in there) or "none"
                what = "of several kinds" if kinds else "not of the kind asked for"
                part = "labeler" if self.purpose == "label" else "judge"
                raise CcsError(
                    f"{self.place}: the kept {_WORD[self.purpose]} are {what}. There are: {listed}. Choose with {part}.model= and, if "
                    f"that is not enough, {part}.settings=. A panel is repeated by judge=panel judge.kept_only=true."
                )
            first = min(item.request.draw for _, item in chosen)
            self._found = {(subject, item.request.draw - first): item for subject, item in chosen}
        return self._found

    def take(self, subjects: Sequence[Subject], draw: int = 0) -> list[Kept]:
        missing = [subject for subject in dict.fromkeys(subjects) if (subject, draw) not in self.found]
        some = next(iter(self.found.values())).request
        if missing:
            raise CcsError(
                f"{self.place}: {len(missing)} of {len(set(subjects))} {_WORD[self.purpose]} are not kept by {some.model} (settings "
                f"{some.settings}, prompt {some.prompt[:12]}). The first one missing is about "
                f"{missing[0].descriptions[0]!r}{f' under {missing[0].label!r}' if missing[0].label else ''}. Replay the same "
                "descriptions, or ask a model for them."
            )
        taken = [self.found[subject, draw] for subject in subjects]
        for item in taken:
            try:
                _ = item.answer
            except Rejected as error:
                raise CcsError(f"{self.place}: the reply {item.request.key[:12]} is no answer: {error}.") from error
        self.session.used |= {item.request.key: item for item in taken}
        self.session.kept += len({item.request.key for item in taken})
        self.session.models[f"replay {self.purpose}"] = {
            "for": "labeler" if self.purpose == "label" else "judge",
            "service": "replay",
            "endpoint": some.endpoint,
            "model": some.model,
            "not_sent": [],
            "batch": False,
        }
        return taken


_WORD = {"label": "labels", "verdicts": "verdicts"}


class ReplayLabeler(_Replay):
    """The labels that a model gave in an earlier run."""

    purpose: Purpose = "label"

    def label(self, heads: Sequence[HeadSpans], draw: int = 0) -> list[str | None]:
        """One label a head; None where the model gave none then. Raises `CcsError` for heads that are not kept."""
        kept = self.take([Subject("label", head.descriptions) for head in heads], draw)
        return [label_in(item) for item in kept]

    def kept_labels(self, heads: Sequence[HeadSpans]) -> list[str | None]:
        kept = [self.found.get((Subject("label", head.descriptions), 0)) for head in heads]
        return [label_in(item) for item in kept]


class ReplayJudge(_Replay, Spoken):
    """The verdicts that a model gave in an earlier run."""

    purpose: Purpose = "verdicts"

    def judge(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict a question; unjudged where the model gave none then. Raises `CcsError` for questions that are not kept."""
        size = 5 if any(subject.numbered for subject, _ in self.found) else 1
        subjects = group(questions, size)
        kept = zip(subjects, self.take(subjects), strict=True)
        return self.speak(opinion for subject, item in kept for opinion in opinions_in(subject, item, item.request.model))
