"""What labeler and judges of one job share: the money, and the record of what was asked and answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ccs_exp.llm.ledger import Ledger, dollars
from ccs_exp.llm.prices import Forecast
from ccs_exp.llm.replies import Kept


@dataclass
class Session:
    """The record of a job's requests. `used`: every reply that a label or verdict rests on, and every request without one."""

    ledger: Ledger = field(default_factory=Ledger)
    used: dict[str, Kept] = field(default_factory=dict)
    sent: int = 0
    kept: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    outages: Counter[str] = field(default_factory=Counter)
    last_failure: str | None = None  # what came instead of an answer, where a request was given up
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def unanswered(self) -> Counter[str]:
        """How many requests have no answer, by reason."""
        return Counter(kept.reason or "no reply" for kept in self.used.values() if kept.response is None)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The SHA-256 of every prompt that replies were given to."""
        return tuple(sorted({kept.request.prompt for kept in self.used.values()}))

    @property
    def served(self) -> list[dict[str, str | None]]:
        """Which model and system fingerprint the replies say that they are of."""
        told = {(served_by(kept), _text_of(kept, "system_fingerprint")) for kept in self.used.values() if kept.response is not None}
        return [{"model": model or None, "fingerprint": fingerprint or None} for model, fingerprint in sorted(told)]

    def summary(self) -> dict[str, Any] | None:
        """What ``summary.json`` says of language models; None if none took part."""
        if not self.models:
            return None
        return {
            "models": list(self.models.values()),
            "served": self.served,
            "requests": {"sent": self.sent, "kept": self.kept, "unanswered": sum(self.unanswered.values())},
            "rejected_replies": dict(self.rejected),
            "outages": dict(self.outages),
            "tokens": {"input": self.input_tokens, "output": self.output_tokens},
            "cost_usd": self.ledger.spent,
            "prompts": list(self.prompts),
        }

    def line(self) -> str:
        """What was asked and paid, as people read it."""
        return f"{self.sent} requests sent, {dollars(self.ledger.spent)}; {self.kept} replies were kept already"

    def warnings(self) -> list[str]:
        """What a reader of the results must be told: requests without answers, and models that changed in between."""
        told, missing = [], self.unanswered
        if missing:
            reasons = ", ".join(f"{count} {reason}" for reason, count in missing.most_common())
            last = f" What came last instead of an answer: {self.last_failure}" if self.last_failure else ""
            told.append(
                f"{sum(missing.values())} requests to language models have no answer ({reasons}): their heads have no label or their "
                f"descriptions are unjudged. Run again to ask for them alone.{last}"
            )
        names: dict[tuple[str, str], Counter[str]] = {}
        for kept in self.used.values():
            if kept.response is not None:
                names.setdefault((kept.request.endpoint, kept.request.model), Counter())[served_by(kept) or "no name"] += 1
        for (_, model), counts in names.items():
            if len(counts) > 1:
                by = ", ".join(f"{count} of {name}" for name, count in counts.most_common())
                told.append(f"The replies to requests for {model} call themselves replies of different models ({by}).")
        return told


@runtime_checkable
class AsksModels(Protocol):
    """A labeler or judge that asks language models, itself or through others."""

    max_cost_usd: float | None

    def join(self, session: Session) -> None:
        """Keep record and money in `session` from now on."""

    def check_ready(self) -> None:
        """Raise `CcsError` where no request could be sent: no key, nowhere to keep replies."""

    def forecast(self, subjects: Any) -> Iterable[Forecast]:
        """What asking about these heads (a labeler) or questions (a judge) would take."""


def served_by(kept: Kept) -> str:
    """The model that a reply says that it is of; empty where it says nothing."""
    return _text_of(kept, "model")


def _text_of(kept: Kept, name: str) -> str:
    text = (kept.response or {}).get(name)
    return text if isinstance(text, str) else ""


def share_session(*parts: Any) -> Session:
    """One session for those of `parts` that ask language models; the lowest of their limits holds for all together."""
    asking = [part for part in parts if isinstance(part, AsksModels)]
    limits = [part.max_cost_usd for part in asking if part.max_cost_usd is not None]
    session = Session(Ledger(min(limits, default=None)))
    for part in asking:
        part.join(session)
    return session
