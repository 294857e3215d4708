"""The comparisons of a study: the judge with each rater, raters with each other, two judges with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
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


_Asked = tuple[tuple[int, str], Origin]  # an item by its sheet and name, and where it is from
_Pair = tuple[bool | None, bool | None, Hashable]  # one description as two raters see it, None: no answer; and its head


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
    origins: list[_Asked] = []
    for number, path in enumerate(sheets):
        sheet = read_sheet(path)
        origins += [((number, origin.item), origin) for origin in read_key(sheet)]
        for rater, file in raters(sheet.path).items():
            if not only or rater in only:
                answers[rater] |= {(number, item): yes for item, yes in read_ratings(sheet, file).items()}
    missing = [rater for rater in only if rater not in answers]
    if missing or not answers:
        what = f"There are no ratings of {', '.join(missing)}" if missing else "There are no ratings"
        raise CcsError(
            f"{what} beside {', '.join(map(str, sheets))}. Rate first: ccs-exp agreement rate SHEET --rater NAME."
        )
    by_run: dict[tuple[str, str], list[_Asked]] = defaultdict(list)
    once: dict[tuple[int, str], _Asked] = {}  # an item that runs share was rated once, and judged by each
    for item, origin in origins:
        by_run[origin.model, origin.run].append((item, origin))
        once.setdefault(item, (item, origin))

    def said(who: str, item: tuple[int, str], origin: Origin) -> bool | None:
        return _yes(origin.verdict) if who == JUDGE else answers[who].get(item)

    findings = []
    for first, second in [*((JUDGE, rater) for rater in answers), *combinations(answers, 2)]:
        over = dict(by_run)
        if len(by_run) > 1:
            over[ALL, ""] = [one for those in by_run.values() for one in those] if first == JUDGE else list(once.values())
        for (model, run), those in over.items():
            pairs: list[_Pair] = [(said(first, *one), said(second, *one), (one[1].model, one[1].head)) for one in those]
            findings.append(_finding(first, second, model, run, pairs, resamples, seed))
    return findings


def judge_findings(runs: dict[str, list[Candidate]], resamples: int = RESAMPLES, seed: int = 0) -> list[Finding]:
    """Each two runs' judges over the descriptions that both have under the same label.

    Raises `CcsError` where two runs share no description and label.
    """
    findings: list[Finding] = []
    for one, other in combinations(runs, 2):
        second = {_place(candidate): candidate for candidate in runs[other]}
        pairs: list[_Pair] = []
        apart = 0
        for candidate in runs[one]:
            match = second.get(_place(candidate))
            if match is None:
                apart += 1
            else:
                pairs.append((_yes(candidate.origin.verdict), _yes(match.origin.verdict), candidate.origin.head))
        if not pairs:
            raise CcsError(
                f"{one} and {other} have no description under the same label at the same place, so their judges cannot be compared. "
                "Score the descriptions of one run again with the other judge: spans=file spans.path=RUN/heads.csv labeler=given."
            )
        model = runs[one][0].origin.model
        findings.append(_finding(one, other, model, "", pairs, resamples, seed, left_out=apart))
    return findings


def _finding(
    first: str, second: str, model: str, run: str, pairs: list[_Pair], resamples: int, seed: int, left_out: int = 0
) -> Finding:
    both = [(one, other, group) for one, other, group in pairs if one is not None and other is not None]
    one, other = [first for first, _, _ in both], [second for _, second, _ in both]
    found = agreement(one, other, [group for _, _, group in both], resamples=resamples, seed=seed)
    return Finding(first, second, model, run, found, left_out + len(pairs) - len(both))


def _place(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.origin.head, candidate.description, candidate.label


def _yes(verdict: str) -> bool | None:
    return {"aligned": True, "not_aligned": False}.get(verdict)
