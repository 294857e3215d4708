"""How well CCS separates the high from the low heads that the paper's authors published, on given descriptions.

    python benchmarks/published_heads.py FILE                                      # the taxonomy as judge
    python benchmarks/published_heads.py FILE --judge embedding [--model NAME_OR_DIR] [--threshold 0.2]

FILE is a JSON list of ``{head, top5, intel_label, ccs_class}``, ``ccs_class`` being ``high(5)``, ``low(<=1)`` or another. Prints the
area under the ROC curve with a bootstrap interval over heads: of the taxonomy with its own and with the given labels; of the
embedding judge with the given labels at a fixed threshold and at one chosen without the heads that are compared, and how many
descriptions reach the threshold under their own head's label and under another's.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from similarity_threshold import choose_threshold, left_out_pairs
from sklearn.metrics import roc_auc_score

from ccs_exp.config.schema import configure
from ccs_exp.scoring.ccs import Scores, Thresholds, score
from ccs_exp.scoring.judges.embedding import EmbeddingJudge
from ccs_exp.scoring.judges.judge import Question, TaxonomyJudge
from ccs_exp.scoring.judges.label import GivenLabeler, TaxonomyLabeler
from ccs_exp.scoring.spans import HeadSpans, read_spans
from ccs_exp.scoring.taxonomy import load_taxonomy

CANDIDATES = np.arange(0.05, 0.505, 0.01)
RESAMPLES = 9999


def area(high: np.ndarray, values: np.ndarray) -> str:
    """The area under the ROC curve with its interval."""

    def statistic(*columns: np.ndarray, axis: int = -1) -> float:
        return roc_auc_score(*columns) if len(set(columns[0])) == 2 else np.nan

    warnings.filterwarnings("ignore", message=".*confidence interval cannot be calculated.*")
    # not the library's own interval: a resample may hold no low head, and then has no area
    resampled = bootstrap(
        (high, values), statistic, paired=True, vectorized=False, method="percentile", rng=0
    ).bootstrap_distribution
    low, up = np.nanpercentile(resampled, [2.5, 97.5])
    return f"area {roc_auc_score(high, values):.3f} [{low:.3f}, {up:.3f}] from {high.sum()} high and {(~high).sum()} low heads"


def separation(scores: Scores, published: dict[str, str]) -> str:
    told = [
        (published[str(item.head)] == "high(5)", item.ccs)
        for item in scores.heads
        if item.ccs is not None and published[str(item.head)] in ("high(5)", "low(<=1)")
    ]
    judged = sum(item.ccs is not None for item in scores.heads)
    return f"{area(*(np.array(column) for column in zip(*told, strict=True)))}; {judged} of {len(scores.heads)} heads judged"


def measure_taxonomy(spans: tuple[HeadSpans, ...], published: dict[str, str]) -> None:
    texts = [text for item in spans for text in item.descriptions]
    print(f"tagged         {load_taxonomy().tagged_share(texts):.3f} of {len(texts)} descriptions")
    for labeler in (TaxonomyLabeler(), GivenLabeler()):
        print(f"labels {labeler.name:9s}{separation(score(spans, labeler, TaxonomyJudge(), Thresholds()), published)}")


def measure_embedding(spans: tuple[HeadSpans, ...], published: dict[str, str], judge: EmbeddingJudge) -> None:
    print(f"fixed {judge.threshold:<5.2f}   {separation(score(spans, GivenLabeler(), judge, Thresholds()), published)}")
    told = [item for item in spans if published[str(item.head)] in ("high(5)", "low(<=1)")]
    high = np.array([published[str(item.head)] == "high(5)" for item in told])
    own = judge.similarities([Question(text, item.label) for item in told for text in item.descriptions]).reshape(-1, 5)
    won = left_out_pairs(own, high, CANDIDATES)
    print(
        f"leave-pair-out area {won.mean():.3f} {_interval_of_pairs(won)}; chosen on all: {choose_threshold(own, high, CANDIDATES):.2f}"
    )
    chosen = [choose_threshold(np.delete(own, head, 0), np.delete(high, head), CANDIDATES) for head in range(len(high))]
    alone = np.array([(own[head] >= at).sum() for head, at in enumerate(chosen)])
    print(f"leave-one-out  {area(high, alone)}, pooled; thresholds {min(chosen):.2f} to {max(chosen):.2f}")
    print(f"no threshold   mean similarity: {area(high, own.mean(axis=1))}")
    others = [(text, other.label) for item in spans for text in item.descriptions for other in spans if other.label != item.label]
    null = judge.similarities([Question(*pair) for pair in others])
    all_own = judge.similarities([Question(text, item.label) for item in spans for text in item.descriptions])
    print(
        f"reach it       {(all_own >= judge.threshold).mean():.3f} of {len(all_own)} descriptions under their own head's label, "
        f"{(null >= judge.threshold).mean():.3f} of {len(null)} under another's"
    )
    areas = [(at, roc_auc_score(high, (own >= at).sum(axis=1))) for at in (0.10, 0.15, 0.20, 0.25, 0.30, 0.35)]
    print("other fixed    " + ", ".join(f"{at:.2f}: {value:.3f}" for at, value in areas))


def _interval_of_pairs(won: np.ndarray) -> str:
    """High and low heads are drawn again, each with its row or column of comparisons."""
    rng = np.random.default_rng(0)
    rows, columns = (rng.integers(size, size=(RESAMPLES, size)) for size in won.shape)
    means = [won[np.ix_(row, column)].mean() for row, column in zip(rows, columns, strict=True)]
    low, up = np.percentile(means, [2.5, 97.5])
    return f"[{low:.3f}, {up:.3f}] from {won.shape[0]} high and {won.shape[1]} low heads"


def main() -> None:
    default = configure("judge=embedding").judge
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--judge", choices=("taxonomy", "embedding"), default="taxonomy")
    parser.add_argument("--model", default=default.model)
    parser.add_argument("--threshold", type=float, default=default.threshold)
    parser.add_argument("--label-wording", default=default.label_wording)
    asked = parser.parse_args()
    published = {entry["head"]: entry["ccs_class"] for entry in json.loads(asked.file.read_text(encoding="utf-8"))}
    spans = read_spans(asked.file)
    if asked.judge == "taxonomy":
        measure_taxonomy(spans, published)
    else:
        revision = default.revision if asked.model == default.model else None
        measure_embedding(spans, published, EmbeddingJudge(asked.model, asked.threshold, revision, asked.label_wording))


if __name__ == "__main__":
    main()
