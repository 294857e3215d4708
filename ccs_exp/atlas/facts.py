"""What a run says of each head: its score, and the evidence beside it, as the pages need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.published import scores_from_csv

_RIGHT = {"True": "yes", "False": "no"}


@dataclass(frozen=True)
class HeadFacts(HeadScore):
    """One scored head. `evidence`: ``(what, finding)`` in words.

    `cost`: of silencing it alone, on the task that suffers most, in standard deviations of that task's margins; None: not measured.
    """

    cost: float | None = None
    evidence: tuple[tuple[str, str], ...] = ()

    @property
    def described(self) -> tuple[tuple[str, str | None], ...]:
        """Descriptions with their verdicts."""
        return tuple(zip_longest(self.descriptions, self.verdicts))

    @property
    def texts(self) -> tuple[str, ...]:
        """The label, if there is one, then the descriptions."""
        return (*((self.label,) if self.label else ()), *self.descriptions)


def read_facts(folder: str | Path) -> tuple[HeadFacts, ...]:
    """From ``heads.csv`` and, where it is there, ``evidence.csv``. Raises `CcsError` where these are damaged."""
    folder = Path(folder)
    evidence = read_evidence(folder, "evidence.csv")
    records = [] if evidence is None else evidence.to_dict("records")
    found: dict[str, dict[str, Any]] = {row["head"]: {str(name): value for name, value in row.items()} for row in records}
    heads = []
    for score in scores_from_csv(folder / "heads.csv").heads:
        about = found.get(str(score.head), {})
        heads.append(HeadFacts(**vars(score), cost=_number(about.get("standardised")), evidence=_in_words(about)))
    return tuple(heads)


def _in_words(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = []
    cost, specificity = _number(row.get("standardised")), _number(row.get("specificity"))
    if cost is not None:
        more = "" if specificity is None else f", {_signed(specificity)} sd more than the other tasks on average"
        task = _task(row["most_affected"])
        found.append(("Silencing it costs", f"{_signed(cost)} sd of the margins of {task}, its most affected task{more}"))
    if _text(row.get("represents")):
        found.append(("It represents", _task(row["represents"])))
    for column, way in (("label_most_affected", "what silencing it hurts most"), ("label_represents", "what it represents")):
        if _RIGHT.get(str(row.get(column))):
            found.append((f"Its label names {way}", _RIGHT[str(row[column])]))
    detection, intruder = _number(row.get("detection")), _number(row.get("intruder_found"))
    if detection is not None:
        found.append(("It detects its label", f"area under the ROC curve {detection:.2f}"))
    if intruder is not None:
        found.append(("Another head's description is found among its own", f"in {100 * intruder:.0f}% of tries (chance: 20%)"))
    return tuple(found)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _task(name: Any) -> str:
    """``scenes/colour`` is the task ``colour`` of a data set."""
    return str(name).rpartition("/")[2]


def _signed(value: float) -> str:
    return f"{'−' if value < 0 else ''}{abs(value):.2f}"
