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
    mean_share,
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
    told: list[dict[str, Any]] = []
    shares: list[IntruderShare] = []
    for chooser in choosers(scorers.judge, ask):
        if isinstance(chooser, LanguageModelChooser):
            plan.show(plan.forecast_lines(chooser.forecast([item.texts for item in items]), scorers.session.ledger.limit))
        shares = intruder_shares(items, chooser.choose([item.texts for item in items]))
        mean = mean_share(shares, seed)
        rows += [share.row(chooser.name) for share in shares]
        of_judge = {"judge": chooser.name, "found": mean and mean[0], "interval": mean and mean[1] and list(mean[1])}
        told.append(of_judge | {"heads": len(shares), "unanswered": sum(share.unanswered for share in shares)})
    return {"intruder.csv": Table(COLUMNS, rows)}, told, {share.head: share for share in shares}
