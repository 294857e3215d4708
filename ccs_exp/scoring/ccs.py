"""The Concept Consistency Score (paper, section 4.1.3) and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ccs_exp.errors import CcsError
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, HIGH_FROM, LOW_TO, Head, check_thresholds
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, VERDICT_COLUMNS
from ccs_exp.scoring.concepts import ConceptMap
from ccs_exp.scoring.judges.judge import Judge, Question, Verdict
from ccs_exp.scoring.judges.label import Labeler
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.store import Members, json_as

if TYPE_CHECKING:
    import pandas

CcsClass = Literal["high", "moderate", "low"]


@dataclass(frozen=True)
class Thresholds:
    """CCS of at least `high` is high, of at most `low` is low, between them moderate (paper: 5 and 1)."""

    high: int = HIGH_FROM
    low: int = LOW_TO

    def __post_init__(self) -> None:
        check_thresholds(self.high, self.low)

    def classify(self, ccs: int) -> CcsClass:
        return "high" if ccs >= self.high else "low" if ccs <= self.low else "moderate"


@dataclass(frozen=True)
class HeadScore:
    """What is known of one head. `ccs` and `ccs_class` are None where a description is unjudged or only the class is known."""

    head: Head
    label: str | None
    ccs: int | None
    ccs_class: CcsClass | None
    descriptions: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    explained_variance: float | None = None


@dataclass(frozen=True, repr=False)
class Scores:
    """The scored heads of a model, in order.

    `concepts` are sets of heads given by name (published ones); where absent, a concept's heads are the high heads whose label
    a concept map takes for it. `model` is the one that the scores are known to be of.
    """

    heads: tuple[HeadScore, ...]
    concepts: Mapping[str, frozenset[Head]] | None = None
    model: str | None = None

    def __repr__(self) -> str:
        return self._table().to_string(index=False)

    def _repr_html_(self) -> str:
        return self._table().to_html(index=False)

    def _table(self) -> pandas.DataFrame:
        return self.to_frame()[["head", "label", "ccs", "ccs_class", "description_1"]]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each scored head, in the columns of ``heads.csv`` but the model's name."""
        rows = []
        for score in self.heads:
            descriptions = score.descriptions or (None,) * DESCRIPTIONS_PER_HEAD
            verdicts = score.verdicts or (None,) * DESCRIPTIONS_PER_HEAD
            rows.append(
                {"layer": score.head.layer, "head": str(score.head), "label": score.label, "ccs": score.ccs}
                | {"ccs_class": score.ccs_class}
                | dict(zip(DESCRIPTION_COLUMNS, descriptions, strict=True))
                | {column: verdict and str(verdict) for column, verdict in zip(VERDICT_COLUMNS, verdicts, strict=True)}
                | {"explained_variance": score.explained_variance}
            )
        return rows

    def to_frame(self) -> pandas.DataFrame:
        """`rows` as a table; what is absent is None."""
        import pandas

        return pandas.DataFrame(self.rows(), dtype=object)

    def of_class(self, ccs_class: CcsClass) -> frozenset[Head]:
        """The heads of a class. Raises `CcsError` for what is none."""
        if ccs_class not in get_args(CcsClass):
            raise CcsError(f"There is no class {ccs_class!r} of heads. There are: {', '.join(get_args(CcsClass))}.")
        return frozenset(score.head for score in self.heads if score.ccs_class == ccs_class)

    def of_concept(self, concept: str, concept_map: ConceptMap) -> frozenset[Head]:
        """The concept's heads; empty for a concept that no head bears."""
        if self.concepts is not None:
            return self.concepts.get(concept, frozenset())
        return frozenset(head for head, label in self._high_labels.items() if concept_map.means(label, concept))

    def concept_names(self, concept_map: ConceptMap) -> tuple[str, ...]:
        """The concepts that have heads."""
        if self.concepts is not None:
            return tuple(sorted(self.concepts))
        return tuple(sorted({concept for label in self._high_labels.values() for concept in concept_map.of(label)}))

    def unmapped_labels(self, concept_map: ConceptMap) -> list[str]:
        """The labels of high heads that the map takes for no concept."""
        return [] if self.concepts is not None else concept_map.unmapped(self._high_labels.values())

    @property
    def _high_labels(self) -> dict[Head, str]:
        return {score.head: score.label for score in self.heads if score.ccs_class == "high" and score.label}

    @property
    def unjudged(self) -> int:
        """How many descriptions have no verdict."""
        return sum(verdict is Verdict.UNJUDGED for score in self.heads for verdict in score.verdicts)

    def ccs_at_k(self) -> dict[int, float] | None:
        """CCS@K for K = 0..5 (paper, section 4.1.3), over the judged heads; None if no head was judged."""
        judged = [score.ccs for score in self.heads if score.ccs is not None and score.verdicts]
        if not judged:
            return None
        return {k: judged.count(k) / len(judged) for k in range(DESCRIPTIONS_PER_HEAD + 1)}


def score(spans: Sequence[HeadSpans], labeler: Labeler, judge: Judge, thresholds: Thresholds) -> Scores:
    """Label every head, judge its five descriptions, count the aligned ones.

    A head without a label, or with an unjudged description, has no CCS.
    """
    labels = labeler.label(spans)
    labelled = [(item, label) for item, label in zip(spans, labels, strict=True) if label is not None]
    verdicts = iter(judge.judge([Question(text, label) for item, label in labelled for text in item.descriptions]))
    scores = []
    for item, label in zip(spans, labels, strict=True):
        if label is None:
            judged = tuple(Verdict.UNJUDGED for _ in item.descriptions)
        else:
            judged = tuple(next(verdicts) for _ in item.descriptions)
        ccs = None if Verdict.UNJUDGED in judged else judged.count(Verdict.ALIGNED)
        ccs_class = None if ccs is None else thresholds.classify(ccs)
        scores.append(HeadScore(item.head, label, ccs, ccs_class, item.descriptions, judged, item.explained_variance))
    models = {item.model for item in spans}
    return Scores(tuple(scores), model=models.pop() if len(models) == 1 else None)


_Ccs = Literal[0, 1, 2, 3, 4, 5] | None
_Row = tuple[str, str | None, _Ccs, CcsClass | None, tuple[str, ...], tuple[Verdict, ...], float | None]


def pack_scores(scores: Scores) -> dict[str, bytes]:
    heads = [
        [str(item.head), item.label, item.ccs, item.ccs_class, item.descriptions, item.verdicts, item.explained_variance]
        for item in scores.heads
    ]
    return {"heads": json.dumps(heads).encode(), "model": json.dumps(scores.model).encode()}


def unpack_scores(members: Members) -> Scores:
    """What `pack_scores` made. Raises on anything else."""
    rows = json_as(list[_Row], members["heads"])
    if any(len(texts) != len(verdicts) for *_, texts, verdicts, _ in rows):
        raise ValueError("a head with more descriptions than verdicts, or fewer")
    return Scores(
        tuple(HeadScore(Head.parse(head), *rest) for head, *rest in rows), model=json_as(str | None, members["model"])
    )
