"""Scores that come from elsewhere: the head sets of the paper's authors, and the heads.csv of an earlier run."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.heads import SCORED_LAYERS, Head, scored_heads
from ccs_exp.results import DESCRIPTION_COLUMNS, VERDICT_COLUMNS, read_heads_csv
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.judge import Verdict


def published_scores(variant: str | None) -> Scores:
    """The authors' high, low and concept heads of one of the six variants. CCS is known for high heads only (5)."""
    published = json.loads((files("ccs_exp") / "assets" / "published_heads.json").read_text())["models"]
    if variant not in published:
        raise CcsError(f"ccs=published knows {', '.join(published)}, not {variant or 'this model'}. Choose model= one of them.")
    entry = published[variant]
    high, low = ({Head.parse(name) for name in entry[key]} for key in ("high", "low"))
    concepts = {name: frozenset(map(Head.parse, heads)) for name, heads in entry["concepts"].items()}
    labels = {head: name for name, heads in concepts.items() for head in heads}
    heads = scored_heads(entry["layers"], entry["heads_per_layer"], SCORED_LAYERS)
    return Scores(
        tuple(
            HeadScore(
                head,
                labels.get(head),
                ccs=5 if head in high else None,
                ccs_class="high" if head in high else "low" if head in low else "moderate",
            )
            for head in heads
        ),
        concepts,
    )


def scores_from_csv(path: str | Path) -> Scores:
    """The scores of an earlier run's heads.csv. Raises `CcsError` if it is none, or names a head twice."""
    scores = []
    for row in read_heads_csv(Path(path).expanduser()).to_dict("records"):
        descriptions = tuple(row[column] for column in DESCRIPTION_COLUMNS if row[column] is not None)
        verdicts = tuple(Verdict(row[column]) for column in VERDICT_COLUMNS if row[column] is not None)
        head = Head.parse(row["head"])
        scores.append(
            HeadScore(head, row["label"], row["ccs"], row["ccs_class"], descriptions, verdicts, row["explained_variance"])
        )
    if len({score.head for score in scores}) != len(scores):
        raise CcsError(f"{path} names a head more than once.")
    return Scores(tuple(sorted(scores, key=lambda score: score.head)))
