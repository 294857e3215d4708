"""How firm a CCS is: against another naming of the heads' concepts, and against labels that have nothing to do with them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeGuard

import numpy as np

from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.scoring.ccs import CcsClass, Scores, Thresholds
from ccs_exp.scoring.judges.judge import Judge, Question, Verdict
from ccs_exp.scoring.judges.label import DrawingLabeler, Labeler
from ccs_exp.scoring.phrases import text_key
from ccs_exp.scoring.spans import HeadSpans

Kind = Literal["relabel", "shuffled_labels"]


@dataclass(frozen=True)
class Rescored:
    """One head judged once more under another label. `label_of`: the head whose label it is; None: named anew."""

    kind: Kind
    draw: int
    head: Head
    label: str | None
    label_of: Head | None
    verdicts: tuple[Verdict, ...]
    ccs: int | None
    ccs_class: CcsClass | None


class Extra(NamedTuple):
    """What the options ask at most, beyond the scores themselves: `labels` of the labeler, `questions` of the judge."""

    labels: int
    questions: int


def extra_requests(heads: int, relabel_draws: int, shuffled_labels: int | None) -> Extra:
    """How many labels and verdicts are asked for at most; a question that comes up again is asked once.

    `shuffled_labels` None: those that cost nothing, which are no requests.

    >>> extra_requests(48, relabel_draws=3, shuffled_labels=10)
    Extra(labels=144, questions=3120)
    """
    draws = min(shuffled_labels or 0, max(heads - 1, 0))
    return Extra(heads * relabel_draws, heads * DESCRIPTIONS_PER_HEAD * (relabel_draws + draws))


def has_draws(labeler: Labeler) -> TypeGuard[DrawingLabeler]:
    """Whether the labeler can be asked again: its method `label` takes a `draw`."""
    return "draw" in inspect.signature(labeler.label).parameters


def relabel(scores: Scores, labeler: Labeler, judge: Judge, thresholds: Thresholds, draws: int, seed: int = 0) -> list[Rescored]:
    """Name every head's concept `draws` more times and judge its descriptions under each name.

    A labeler with draws (a language model) is asked again, draws 1, 2 ... One without would say the same again: it sees four
    of the five descriptions instead, in another order, so that the draws tell how far the score hangs on one description
    or on their order. Five draws leave each description out once.
    """
    spans = _described(scores)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(DESCRIPTIONS_PER_HEAD) for _ in spans]
    asked: list[tuple[int, HeadSpans, str | None, None]] = []
    for draw in range(1, draws + 1):
        if has_draws(labeler):
            labels = labeler.label(spans, draw=draw)
        else:
            labels = labeler.label([_without_one(item, order, draw, rng) for item, order in zip(spans, orders, strict=True)])
        asked += [(draw, item, label, None) for item, label in zip(spans, labels, strict=True)]
    return _judged("relabel", asked, judge, thresholds)


def shuffled_labels(scores: Scores, judge: Judge, thresholds: Thresholds, draws: int, seed: int = 0) -> list[Rescored]:
    """Judge each head's descriptions under other heads' labels: what CCS is by chance.

    The heads stand in a seeded random ring, and each draw hands all labels on by a number of places not used before: every draw
    is a derangement, no head meets a label of the same head twice, and as many draws as there are other heads (more are not
    made) are all there is to ask. Where the other head's label is the head's own (two heads of colours), nothing is asked.
    """
    spans = _described(scores)
    labels = {item.head: item.label for item in scores.heads if item.label is not None}
    ring = [item for item in spans if item.head in labels]
    rng = np.random.default_rng(seed)
    ring = [ring[index] for index in rng.permutation(len(ring))]
    steps = (rng.permutation(max(len(ring) - 1, 0)) + 1)[:draws]
    asked = []
    for draw, step in enumerate(steps.tolist(), 1):
        for place, item in enumerate(ring):
            other = ring[(place + step) % len(ring)].head
            if text_key(labels[other]) != text_key(labels[item.head]):
                asked.append((draw, item, labels[other], other))
    return _judged("shuffled_labels", asked, judge, thresholds)


def _described(scores: Scores) -> list[HeadSpans]:
    return [HeadSpans(item.head, item.descriptions) for item in scores.heads if item.descriptions]


def _without_one(item: HeadSpans, order: np.ndarray, draw: int, rng: np.random.Generator) -> HeadSpans:
    left_out = order[(draw - 1) % len(order)]
    kept = [index for index in rng.permutation(len(order)) if index != left_out]
    return HeadSpans(item.head, tuple(item.descriptions[index] for index in kept))


def _judged(
    kind: Kind, asked: Sequence[tuple[int, HeadSpans, str | None, Head | None]], judge: Judge, thresholds: Thresholds
) -> list[Rescored]:
    """Ask each distinct question once."""
    questions = list(
        dict.fromkeys(Question(text, label) for _, item, label, _ in asked if label is not None for text in item.descriptions)
    )
    answers = dict(zip(questions, judge.judge(questions), strict=True)) if questions else {}
    rescored = []
    for draw, item, label, label_of in sorted(asked, key=lambda entry: (entry[0], entry[1].head)):
        if label is None:
            verdicts = (Verdict.UNJUDGED,) * len(item.descriptions)
        else:
            verdicts = tuple(answers[Question(text, label)] for text in item.descriptions)
        ccs = None if Verdict.UNJUDGED in verdicts else verdicts.count(Verdict.ALIGNED)
        ccs_class = None if ccs is None else thresholds.classify(ccs)
        rescored.append(Rescored(kind, draw, item.head, label, label_of, verdicts, ccs, ccs_class))
    return rescored


def summarise_relabel(scores: Scores, rescored: Sequence[Rescored]) -> dict[str, float | int | None] | None:
    """How stable CCS and class are over the draws; None without draws of a head that has a CCS.

    ``heads`` (with a CCS and a CCS in some draw), ``same_ccs, same_class`` (share of all draws that repeat the run's),
    ``changing_class`` (share of heads whose class differs in some draw), ``mean_sd`` (over heads, of CCS over the run and its
    draws), ``high_overlap`` (mean Jaccard index of the draws' high heads with the run's; None if neither has any).
    """
    first = {item.head: item for item in scores.heads if item.ccs is not None}
    judged = [item for item in rescored if item.kind == "relabel" and item.ccs is not None and item.head in first]
    if not judged:
        return None
    by_head = {head: list(items) for head, items in itertools.groupby(sorted(judged, key=lambda i: i.head), lambda i: i.head)}
    overlaps = []
    for draw in sorted({item.draw for item in judged}):
        now = {item.head for item in judged if item.draw == draw and item.ccs_class == "high"}
        then = {item.head for item in judged if item.draw == draw and first[item.head].ccs_class == "high"}
        if now | then:
            overlaps.append(len(now & then) / len(now | then))
    changing = [any(item.ccs_class != first[head].ccs_class for item in items) for head, items in by_head.items()]
    told = {head: [ccs for ccs in (first[head].ccs, *(item.ccs for item in items)) if ccs is not None] for head, items in by_head.items()}
    return {
        "draws": max(item.draw for item in rescored if item.kind == "relabel"),
        "heads": len(by_head),
        "same_ccs": float(np.mean([item.ccs == first[item.head].ccs for item in judged])),
        "same_class": float(np.mean([item.ccs_class == first[item.head].ccs_class for item in judged])),
        "changing_class": float(np.mean(changing)),
        "mean_sd": float(np.mean([np.std(values) for values in told.values()])),
        "high_overlap": float(np.mean(overlaps)) if overlaps else None,
    }


def summarise_null(scores: Scores, rescored: Sequence[Rescored], seed: int = 0) -> dict[str, object] | None:
    """CCS under other heads' labels; None where nothing was judged so.

    ``ccs_at_k`` {"0": fraction ...}, ``mean`` and the run's own ``observed_mean``, ``as_much`` {"0": share ...} (how easily a CCS
    of K was had: of the labels that heads with it met, the share that would have given K or more; None without such heads),
    ``high`` (share that would be class high) with its 95% bootstrap interval over heads ``high_interval`` (None where all or none
    are high), ``observed_high``, ``draws``, ``judged`` (pairs of head and label).
    """
    judged = [item for item in rescored if item.kind == "shuffled_labels" and item.ccs is not None]
    own = {item.head: item.ccs for item in scores.heads if item.ccs is not None}
    if not judged:
        return None
    values = [item.ccs for item in judged if item.ccs is not None]
    counts = np.bincount(values, minlength=DESCRIPTIONS_PER_HEAD + 1)
    as_much: dict[int, list[bool]] = {k: [] for k in range(DESCRIPTIONS_PER_HEAD + 1)}
    for item, value in zip(judged, values, strict=True):
        if item.head in own:
            as_much[own[item.head]].append(value >= own[item.head])
    return {
        "draws": max(item.draw for item in judged),
        "judged": len(judged),
        "ccs_at_k": {str(k): float(count / len(judged)) for k, count in enumerate(counts)},
        "as_much": {str(k): float(np.mean(enough)) if enough else None for k, enough in as_much.items()},
        "mean": float(np.mean(values)),
        "observed_mean": float(np.mean(list(own.values()))) if own else None,
        "high": float(np.mean([item.ccs_class == "high" for item in judged])),
        "high_interval": _interval_over_heads(judged, seed),
        "observed_high": float(np.mean([item.ccs_class == "high" for item in scores.heads if item.ccs is not None])) if own else None,
    }


def _interval_over_heads(judged: Sequence[Rescored], seed: int) -> list[float] | None:
    heads = sorted({item.head for item in judged})
    if len({item.ccs_class == "high" for item in judged}) < 2:
        return None  # drawing heads again would give a width of zero
    place = {head: index for index, head in enumerate(heads)}
    index = [place[item.head] for item in judged]
    high = np.bincount(index, weights=[item.ccs_class == "high" for item in judged], minlength=len(heads))
    asked = np.bincount(index, minlength=len(heads))
    drawn = np.random.default_rng(seed).integers(len(heads), size=(9999, len(heads)))
    shares = high[drawn].sum(axis=1) / asked[drawn].sum(axis=1)
    return [float(end) for end in np.percentile(shares, [2.5, 97.5])]
