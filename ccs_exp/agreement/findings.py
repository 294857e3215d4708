"""The comparisons of a study: the judge with each rater, raters with each other, two judges with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from ccs_exp.agreement.draw import Candidate
from ccs_exp.agreement.ratings import raters, read_ratings
from ccs_exp.agreement.sheet import Origin, read_key, read_sheet
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_csv
from ccs_exp.statistics.agreement import RESAMPLES, Agreement, agreement

JUDGE = "judge"
ALL = "all"


@dataclass(frozen=True)
class Finding:
    """One comparison over the descriptions of one run, or of all. `left_out` have no answer from one of the two, or are unjudged."""

    first: str
    second: str
    model: str
    run: str
    agreement: Agreement
    left_out: int

    @property
    def paper(self) -> dict[str, float] | None:
        """The paper's values for this model (Table 2), where a judge is compared with a person."""
        return paper_agreement().get(self.model) if self.first == JUDGE else None


@dataclass(frozen=True)
class _Pair:
    """One description as two raters see it; None: no answer."""

    first: bool | None
    second: bool | None
    group: Hashable


@cache
def paper_agreement() -> dict[str, dict[str, float]]:
    """Table 2 of the paper by model: ``kappa, spearman, kendall`` of 50 descriptions, rated by one of the authors."""
    statistics = ("kappa", "spearman", "kendall")
    rows = read_csv(ASSETS / "paper" / "agreement.csv", ("model", *statistics))
    return {row.text("model"): {name: float(row.text(name)) for name in statistics} for row in rows}


def study_findings(
    sheets: Sequence[str | Path], only: Sequence[str] = (), resamples: int = RESAMPLES, seed: int = 0
) -> list[Finding]:
    """Judge and raters, then each two raters, for each run of the sheets and over all of them.

    Args:
        only: raters to take; empty: all whose files lie beside a sheet.

    Raises:
        CcsError: a sheet, key or rating file that is damaged or of another sheet, no rating file at all, an unknown rater.
    """
    if len({Path(sheet).resolve() for sheet in sheets}) != len(sheets):
        raise CcsError(f"A sheet is given more than once: {', '.join(map(str, sheets))}.")
    answers: dict[str, dict[tuple[int, str], bool]] = defaultdict(dict)
    origins: dict[tuple[int, str], list[Origin]] = {}
    for number, path in enumerate(sheets):
        sheet = read_sheet(path)
        for origin in read_key(sheet):
            origins.setdefault((number, origin.item), []).append(origin)
        for rater, file in raters(sheet.path).items():
            if not only or rater in only:
                answers[rater] |= {(number, item): yes for item, yes in read_ratings(sheet, file).items()}
    missing = [rater for rater in only if rater not in answers]
    if missing or not answers:
        what = f"There are no ratings of {', '.join(missing)}" if missing else "There are no ratings"
        raise CcsError(
            f"{what} beside {', '.join(map(str, sheets))}. Rate first: ccs-exp agreement rate SHEET --rater NAME."
        )
    findings: list[Finding] = []
    for rater, given in answers.items():
        findings += _judge_and_rater(rater, given, origins, resamples, seed)
    for one, other in combinations(answers, 2):
        findings += _two_raters((one, answers[one]), (other, answers[other]), origins, resamples, seed)
    return findings


def judge_findings(runs: dict[str, list[Candidate]], resamples: int = RESAMPLES, seed: int = 0) -> list[Finding]:
    """Each two runs' judges over the descriptions that both have under the same label.

    Raises `CcsError` where two runs share no description and label.
    """
    findings: list[Finding] = []
    for one, other in combinations(runs, 2):
        second = {_place(candidate): candidate for candidate in runs[other]}
        pairs, apart = [], 0
        for candidate in runs[one]:
            match = second.get(_place(candidate))
            if match is None:
                apart += 1
            else:
                verdicts = (_yes(candidate.origin.verdict), _yes(match.origin.verdict))
                pairs.append(_Pair(*verdicts, candidate.origin.head))
        if not pairs:
            raise CcsError(
                f"{one} and {other} have no description under the same label at the same place, so their judges cannot be compared. "
                "Score the descriptions of one run again with the other judge: spans=file spans.path=RUN/heads.csv labeler=given."
            )
        model = runs[one][0].origin.model
        findings.append(_finding(one, other, model, "", pairs, resamples, seed, left_out=apart))
    return findings


def _judge_and_rater(rater: str, given: dict, origins: dict, resamples: int, seed: int) -> Iterable[Finding]:
    by_run: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for item, those in origins.items():
        for origin in those:
            pair = _Pair(_yes(origin.verdict), given.get(item), (origin.model, origin.head))
            by_run[origin.model, origin.run].append(pair)
    yield from _by_run(JUDGE, rater, by_run, [pair for pairs in by_run.values() for pair in pairs], resamples, seed)


def _two_raters(one: tuple[str, dict], other: tuple[str, dict], origins: dict, resamples: int, seed: int) -> Iterable[Finding]:
    by_run: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    once: list[_Pair] = []  # an item that runs share was rated once
    for item, those in origins.items():
        answers = one[1].get(item), other[1].get(item)
        once.append(_Pair(*answers, (those[0].model, those[0].head)))
        for origin in those:
            by_run[origin.model, origin.run].append(_Pair(*answers, (origin.model, origin.head)))
    yield from _by_run(one[0], other[0], by_run, once, resamples, seed)


def _by_run(first: str, second: str, by_run: dict, everything: list[_Pair], resamples: int, seed: int) -> Iterable[Finding]:
    for (model, run), pairs in by_run.items():
        yield _finding(first, second, model, run, pairs, resamples, seed)
    if len(by_run) > 1:
        yield _finding(first, second, ALL, "", everything, resamples, seed)


def _finding(
    first: str, second: str, model: str, run: str, pairs: list[_Pair], resamples: int, seed: int, left_out: int = 0
) -> Finding:
    both = [(pair.first, pair.second, pair.group) for pair in pairs if pair.first is not None and pair.second is not None]
    one, other = [first for first, _, _ in both], [second for _, second, _ in both]
    found = agreement(one, other, [group for _, _, group in both], resamples=resamples, seed=seed)
    return Finding(first, second, model, run, found, left_out + len(pairs) - len(both))


def _place(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.origin.head, candidate.description, candidate.label


def _yes(verdict: str) -> bool | None:
    return {"aligned": True, "not_aligned": False}.get(verdict)
