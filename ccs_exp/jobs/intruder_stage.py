"""The intruder test of a job: by the word lists, by an embedding judge, and where that is asked for by the language models that judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccs_exp.evidence.from_evaluation import Table
from ccs_exp.evidence.intruder import (
    Chooser,
    EmbeddingChooser,
    IntruderShare,
    TaxonomyChooser,
    intruder_items,
    intruder_shares,
    told,
)
from ccs_exp.heads import Head
from ccs_exp.jobs import plan
from ccs_exp.journal.log import stage
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.judges.embedding import EmbeddingJudge
from ccs_exp.scoring.judges.intruder import LanguageModelChooser
from ccs_exp.scoring.judges.judge import Judge
from ccs_exp.scoring.judges.panel import Panel
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.taxonomy import load_taxonomy

COLUMNS = ("head", "judge", "found", "answered", "unanswered")


def choosers(judge: Judge, ask: bool) -> list[Chooser]:
    """Who looks for intruders; language models only if `ask`."""
    judges: list[Judge] = list(judge.judges.values()) if isinstance(judge, Panel) else [judge]
    found: list[Chooser] = [TaxonomyChooser(load_taxonomy())]
    found += [EmbeddingChooser(one.embed) for one in judges if isinstance(one, EmbeddingJudge)]
    if ask:
        from ccs_exp.scoring.judges.language_model import OpenAIJudge  # with the client of services, which takes a second

        found += [LanguageModelChooser(one) for one in judges if isinstance(one, OpenAIJudge)]
    return found


def intruder_lines(scorers: Scorers, heads: Sequence[HeadSpans], seed: int) -> list[plan.PlanLine]:
    """What language models would be asked: as many items as there are, which depends on the labels too."""
    items = intruder_items([HeadScore(head.head, head.label, None, None, head.descriptions) for head in heads], seed=seed)
    asking = [one for one in choosers(scorers.judge, True) if isinstance(one, LanguageModelChooser)]
    found = [forecast for one in asking for forecast in one.forecast([item.texts for item in items])]
    return plan.forecast_lines(found, scorers.session.ledger.limit)


@stage("intruders")
def find_intruders(
    scores: Sequence[HeadScore], scorers: Scorers, ask: bool, seed: int
) -> tuple[dict[str, Table], list[dict[str, Any]], dict[Head, IntruderShare]]:
    """The table, what the summary says of each judge, and what the last of them found: a language model where one was asked."""
    items = intruder_items(scores, seed=seed)
    if not items:
        return {}, [], {}
    rows: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    class_of = {score.head: score.ccs_class for score in scores}
    shares: list[IntruderShare] = []
    for chooser in choosers(scorers.judge, ask):
        if isinstance(chooser, LanguageModelChooser):
            plan.show(plan.forecast_lines(chooser.forecast([item.texts for item in items]), scorers.session.ledger.limit))
        shares = intruder_shares(items, chooser.choose([item.texts for item in items]))
        rows += [share.row(chooser.name) for share in shares]
        summary.append(told(chooser.name, shares, [class_of[share.head] for share in shares], seed))
    return {"intruder.csv": Table(COLUMNS, rows)}, summary, {share.head: share for share in shares}
