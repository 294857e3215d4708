"""What a run says of each head: its score, and the evidence beside it, as the pages need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccs_exp.heads import Head
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, VERDICT_COLUMNS
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.folder import RunFolder

_RIGHT = {"True": "yes", "False": "no"}


@dataclass(frozen=True)
class HeadFacts:
    """One scored head. `described`: descriptions with their verdicts; `evidence`: ``(what, finding)`` in words.

    `cost`: of silencing it alone, on the task that suffers most, in standard deviations of that task's margins; None: not measured.
    """

    head: Head
    label: str | None
    ccs: int | None
    ccs_class: str | None
    described: tuple[tuple[str, str | None], ...]
    explained_variance: float | None
    cost: float | None = None
    evidence: tuple[tuple[str, str], ...] = field(default=())

    @property
    def texts(self) -> tuple[str, ...]:
        """The label, if there is one, then the descriptions."""
        return (*((self.label,) if self.label else ()), *(text for text, _ in self.described))


def read_facts(folder: str | Path) -> tuple[HeadFacts, ...]:
    """From ``heads.csv`` and, where it is there, ``evidence.csv``. Raises `CcsError` where these are damaged."""
    folder = Path(folder)
    evidence = read_evidence(folder, "evidence.csv")
    records = [] if evidence is None else evidence.to_dict("records")
    found: dict[str, dict[str, Any]] = {row["head"]: {str(name): value for name, value in row.items()} for row in records}
    heads = []
    for row in RunFolder(folder).read_heads().to_dict("records"):
        about = found.get(row["head"], {})
        pairs = [(row[text], row[verdict]) for text, verdict in zip(DESCRIPTION_COLUMNS, VERDICT_COLUMNS, strict=True) if row[text]]
        label, ccs, ccs_class = row["label"] or None, row["ccs"], row["ccs_class"]
        cost, told = _number(about.get("standardised")), _in_words(about)
        heads.append(HeadFacts(Head.parse(row["head"]), label, ccs, ccs_class, tuple(pairs), row["explained_variance"], cost, told))
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
