"""How well the taxonomy's CCS separates the high from the low heads that the paper's authors published, on given descriptions.

    python benchmarks/published_heads.py FILE

FILE is a JSON list of ``{head, top5, intel_label, ccs_class}``, ``ccs_class`` being ``high(5)``, ``low(<=1)`` or another. Prints the
share of descriptions that the lexicon tags and the area under the ROC curve with a bootstrap interval over heads.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from ccs_exp.scoring.ccs import Scores, Thresholds, score
from ccs_exp.scoring.judge import TaxonomyJudge
from ccs_exp.scoring.label import GivenLabeler, TaxonomyLabeler
from ccs_exp.scoring.spans import read_spans
from ccs_exp.scoring.taxonomy import load_taxonomy


def separation(scores: Scores, published: dict[str, str]) -> str:
    told = [
        (published[str(item.head)] == "high(5)", item.ccs)
        for item in scores.heads
        if item.ccs is not None and published[str(item.head)] in ("high(5)", "low(<=1)")
    ]
    high, ccs = (np.array(column) for column in zip(*told, strict=True))

    def area(*columns: np.ndarray, axis: int = -1) -> float:
        return roc_auc_score(*columns) if len(set(columns[0])) == 2 else np.nan

    warnings.filterwarnings("ignore", message=".*confidence interval cannot be calculated.*")
    # not the library's own interval: a resample may hold no low head, and then has no area
    resampled = bootstrap((high, ccs), area, paired=True, vectorized=False, method="percentile", rng=0).bootstrap_distribution
    low, up = np.nanpercentile(resampled, [2.5, 97.5])
    return f"area {area(high, ccs):.3f} [{low:.3f}, {up:.3f}] from {high.sum()} high and {(~high).sum()} low heads"


def main() -> None:
    path = Path(sys.argv[1])
    published = {entry["head"]: entry["ccs_class"] for entry in json.loads(path.read_text(encoding="utf-8"))}
    spans = read_spans(path)
    texts = [text for item in spans for text in item.descriptions]
    print(f"tagged         {load_taxonomy().tagged_share(texts):.3f} of {len(texts)} descriptions")
    for labeler in (TaxonomyLabeler(), GivenLabeler()):
        scores = score(spans, labeler, TaxonomyJudge(), Thresholds())
        judged = sum(item.ccs is not None for item in scores.heads)
        print(f"labels {labeler.name:9s}{separation(scores, published)}; {judged} of {len(spans)} heads judged")


if __name__ == "__main__":
    main()
