"""Scores that come from elsewhere: the head sets of the paper's authors, and the heads.csv of an earlier run."""

from __future__ import annotations

from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_json
from ccs_exp.heads import SCORED_LAYERS, Head, scored_heads
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, VERDICT_COLUMNS
from ccs_exp.run_folder.folder import read_heads_csv
from ccs_exp.scoring.ccs import HeadScore, Scores, Thresholds
from ccs_exp.scoring.judges.judge import Verdict


def published_scores(variant: str | None) -> Scores:
    """The authors' high, low and concept heads of one of the six variants. CCS is known for high heads only (5)."""
    published = read_json(ASSETS / "published_heads.json")["models"]
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
        variant,
    )


def scores_from_csv(path: str | Path, thresholds: Thresholds | None = None) -> Scores:
    """The scores of an earlier run's heads.csv, where CCS was judged with the classes that `thresholds` gives (None: those that it has).

    Raises `CcsError` if the file is none, names a head twice, or is of several models.
    """
    table = read_heads_csv(Path(path).expanduser())
    models = sorted(set(table["model"]))
    if len(models) != 1:
        raise CcsError(f"{path} has the heads of {', '.join(map(str, models)) or 'no model'}; needed are those of one model.")
    (model,), scores = models, []
    for row in table.to_dict("records"):
        descriptions = tuple(row[column] for column in DESCRIPTION_COLUMNS if row[column] is not None)
        verdicts = tuple(Verdict(row[column]) for column in VERDICT_COLUMNS if row[column] is not None)
        head = Head.parse(row["head"])
        ccs_class = thresholds.classify(row["ccs"]) if thresholds and row["ccs"] is not None and verdicts else row["ccs_class"]
        scores.append(HeadScore(head, row["label"], row["ccs"], ccs_class, descriptions, verdicts, row["explained_variance"]))
    if len({score.head for score in scores}) != len(scores):
        raise CcsError(f"{path} names a head more than once.")
    return Scores(tuple(sorted(scores, key=lambda score: score.head)), model=model)
