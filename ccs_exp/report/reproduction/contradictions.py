"""Where the head sets that the authors published and the paper do not agree, or say less than its figures show."""

from __future__ import annotations

from collections.abc import Iterator

from ccs_exp.heads import Head
from ccs_exp.report.reproduction.paper import Paper
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.published import published_scores

_ROUNDED = 0.0006  # Table 3 has three decimals


def contradictions(paper: Paper) -> list[str]:
    """A sentence for each, told from the packaged sets and the paper's Tables 1 and 3 alone."""
    sets = {model: published_scores(model) for model in paper.models}
    return [*_not_high(paper, sets), *_missing(paper, sets), *_of_table_1(paper, sets), *_of_table_3(paper, sets)]


def _not_high(paper: Paper, sets: dict[str, Scores]) -> Iterator[str]:
    for model, scores in sets.items():
        classes = {score.head: score.ccs_class for score in scores.heads}
        for concept, heads in (scores.concepts or {}).items():
            for head in sorted(heads - scores.of_class("high")):
                what = f"{head} of {paper.title(model)} is published as a head of {concept}, but is {classes.get(head)}, not high"
                yield f"{what}: its cost is no cost of a high head."


def _missing(paper: Paper, sets: dict[str, Scores]) -> Iterator[str]:
    for concept in paper.concepts:
        without = [paper.title(model) for model, scores in sets.items() if concept not in (scores.concepts or {})]
        if without:
            yield f"No heads of {concept} are published for {', '.join(without)}: Figures 3 and 4 have no such cell there."


def _of_table_1(paper: Paper, sets: dict[str, Scores]) -> Iterator[str]:
    """The table does not say of which model a head is: it may be of any that has its layer among the scored ones."""
    for row in paper.examples:
        head = Head.parse(row["head"])
        classes = {paper.title(model): score.ccs_class for model, scores in sets.items() for score in scores.heads if score.head == head}
        if row["class"] not in classes.values():
            published = "; ".join(f"{title} {ccs_class}" for title, ccs_class in classes.items())
            yield f"Table 1 shows {head} ({row['label']}) as {row['class']}; in the published sets it is that nowhere: {published}."


def _of_table_3(paper: Paper, sets: dict[str, Scores]) -> Iterator[str]:
    for model, fractions in paper.ccs_at_k.items():
        scores, of = sets[model], len(sets[model].heads)
        high, low = len(scores.of_class("high")), len(scores.of_class("low"))
        counted = (("high", high, fractions[5], _ROUNDED), ("low", low, fractions[0] + fractions[1], 2 * _ROUNDED))
        for ccs_class, heads, fraction, rounded in counted:
            if abs(heads / of - fraction) > rounded:
                yield f"{paper.title(model)} has {heads} {ccs_class} heads in the published sets, {fraction * of:.1f} by Table 3."
        if abs(sum(fractions) - 1) > 0.003:
            yield f"The fractions that Table 3 gives {paper.title(model)} sum to {sum(fractions):.3f}."
