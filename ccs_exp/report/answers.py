"""The kept predictions of a run, as hits that can be counted, resampled and paired."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ccs_exp.errors import CcsError
from ccs_exp.statistics.intervals import Interval, Paired, bootstrap, mean_of_means, paired, wilson

_DIRECTIONS = ("t2v", "v2t")
_OF_RANKS = {"median_rank": np.median, "mean_rank": np.mean}


@dataclass(frozen=True)
class Answers:
    """What one condition answered, in one order for all conditions of a run.

    Attributes:
        ids: the samples; of retrieval, the queries from text to video.
        hits: right or wrong; of retrieval, whether the rank is 1.
        targets: classes; None of retrieval.
        ranks: ``{direction: ranks}`` of retrieval, else empty.
    """

    ids: np.ndarray
    hits: np.ndarray
    targets: np.ndarray | None
    ranks: dict[str, np.ndarray]

    @cached_property
    def interval(self) -> Interval | None:
        """Wilson's 95% interval of the share of hits."""
        return wilson(int(self.hits.sum()), len(self.hits))

    def interval_of(self, metric: str, value: float | None) -> Interval | None:
        """The 95% interval of any metric of a run: Wilson's of a share of samples, else bootstrapped; None if unknown."""
        if value is None:
            return None
        if self.targets is not None:
            if metric == "mean_per_class":
                return bootstrap([self.hits[self.targets == target] for target in np.unique(self.targets)], mean_of_means)
            return wilson(round(value * len(self.hits)), len(self.hits)) if metric.startswith("top") else None
        direction, _, name = metric.partition("_")
        ranks = self.ranks.get(direction)
        if ranks is None:
            return None
        if name.startswith("R@") and name[2:].isdigit():
            return wilson(round(value * len(ranks)), len(ranks))
        return bootstrap([ranks], _OF_RANKS[name]) if name in _OF_RANKS else None

    def against(self, original: Answers) -> Paired | None:
        """The paired test against the original's answers; None where they are not of the same samples."""
        if not np.array_equal(self.ids, original.ids):
            return None
        return paired(original.hits, self.hits)


def read_answers(run_dir: Path) -> dict[str, Answers]:
    """``{condition: its answers}``; empty where a run kept none. Raises `CcsError` for a damaged file."""
    import pyarrow
    from pyarrow import parquet

    path = run_dir / "predictions.parquet"
    if not path.exists():
        return {}
    try:
        retrieval = "rank" in parquet.read_schema(path).names
        if "seed" in parquet.read_schema(path).names:
            return {}  # a sample's answers under several seeds belong together, which no interval here knows
        columns = ["query_id", "direction", "rank"] if retrieval else ["sample_id", "target", "correct"]
        table = parquet.read_table(path, columns=["condition", *columns]).to_pandas()
    except (OSError, pyarrow.ArrowException) as error:
        raise CcsError(f"{path} cannot be read: {error}.") from error
    if list(table.columns) != ["condition", *columns]:
        raise CcsError(f"{path} lacks columns; needed are condition, {', '.join(columns)}.")
    read = _ranked if retrieval else _classified
    return {str(condition): read(rows) for condition, rows in table.groupby("condition", sort=False)}


def _classified(rows) -> Answers:
    rows = rows.sort_values("sample_id", kind="stable")
    return Answers(
        rows["sample_id"].to_numpy(), rows["correct"].to_numpy(dtype=bool), rows["target"].to_numpy(dtype=int), ranks={}
    )


def _ranked(rows) -> Answers:
    ways = {way: rows[rows["direction"] == way].sort_values("query_id", kind="stable") for way in _DIRECTIONS}
    ranks = {way: found["rank"].to_numpy(dtype=float) for way, found in ways.items() if len(found)}
    first = ways[_DIRECTIONS[0]]
    # a rank that is absent (a video that could not be decoded) is a miss
    return Answers(first["query_id"].to_numpy(), ranks.get(_DIRECTIONS[0], np.empty(0)) <= 1, None, ranks)
