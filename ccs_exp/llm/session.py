"""What labeler and judges of one job share: the money, and the record of what was asked and answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ccs_exp.llm.forecast import Forecast
from ccs_exp.llm.ledger import Ledger, dollars
from ccs_exp.llm.prices import Price
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
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pay(self, price: Price | None, response: Any, about: float) -> None:
        """Count a reply's tokens and spend its cost: by its own usage, else `about`."""
        usage = response.get("usage") if isinstance(response, dict) else None
        if isinstance(usage, dict):
            self.input_tokens += _count(usage.get("prompt_tokens"))
            self.output_tokens += _count(usage.get("completion_tokens"))
        known = price.of_usage(usage) if price else 0.0
        self.ledger.spent += about if known is None else known

    @property
    def unanswered(self) -> Counter[str]:
        """How many requests have no answer, by reason."""
        return Counter(kept.reason for kept in self.used.values() if kept.response is None)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The SHA-256 of every prompt that replies were given to."""
        return tuple(sorted({kept.request.prompt for kept in self.used.values()}))

    @property
    def served(self) -> list[dict[str, str | None]]:
        """Which model and system fingerprint the replies say that they are of."""
        answers = (kept.answer for kept in self.used.values())
        told = {(answer.model or "", answer.fingerprint or "") for answer in answers if answer is not None}
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
        missing = self.unanswered
        if not missing:
            return []
        reasons = ", ".join(f"{count} {reason}" for reason, count in missing.most_common())
        return [
            f"{sum(missing.values())} requests to language models have no answer ({reasons}): their heads have no label or their "
            "descriptions are unjudged. Run again to ask for them alone."
        ]


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


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def share_session(*parts: Any) -> Session:
    """One session for those of `parts` that ask language models; the lowest of their limits holds for all together."""
    asking = [part for part in parts if isinstance(part, AsksModels)]
    limits = [part.max_cost_usd for part in asking if part.max_cost_usd is not None]
    session = Session(Ledger(min(limits, default=None)))
    for part in asking:
        part.join(session)
    return session
