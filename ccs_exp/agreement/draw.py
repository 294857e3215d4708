"""Drawing the items of a study from finished runs."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ccs_exp.agreement.sheet import Item, Origin
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, VERDICT_COLUMNS
from ccs_exp.run_folder.folder import RunFolder

Stratify = Literal["ccs", "verdict"]


@dataclass(frozen=True)
class Candidate:
    """A description of a run with its label and verdict."""

    description: str
    label: str
    origin: Origin


@dataclass(frozen=True)
class Drawn:
    """What a draw gave. `available` and `unjudged` count the descriptions of each run with and without a verdict."""

    items: tuple[Item, ...]
    origins: tuple[Origin, ...]
    available: Mapping[str, int]
    unjudged: Mapping[str, int]


def candidates(run_dir: str) -> list[Candidate]:
    """All descriptions of a run that have a label, unjudged ones included, in the order of its ``heads.csv``.

    Raises `CcsError` where there is no such run, and where its heads have no verdicts.
    """
    table = RunFolder(run_dir).read_heads()
    found = [
        Candidate(
            row[text],
            row["label"],
            Origin("", run_dir, row["model"] or "unknown", row["head"] or "", position, row["ccs"], row[verdict]),
        )
        for row in table.to_dict("records")
        for position, (text, verdict) in enumerate(zip(DESCRIPTION_COLUMNS, VERDICT_COLUMNS, strict=True), 1)
        if row["label"] is not None and row[text] is not None and row[verdict] is not None
    ]
    if not any(candidate.origin.verdict != "unjudged" for candidate in found):
        raise CcsError(
            f"{run_dir} has no verdicts to compare with people's: its scores are published ones, or nothing was judged. Give a run "
            "that computed its scores."
        )
    return found


def draw(runs: Mapping[str, Sequence[Candidate]], per_run: int, seed: int, stratify: Stratify | None = None) -> Drawn:
    """Draw `per_run` judged descriptions of each run without replacement, all of them where there are fewer, and shuffle.

    The draw depends on the seed, the model and the place of a description, not on the run, so that two judges of the same
    descriptions get the same ones. A description and label that several runs share are asked once. `stratify` gives each
    CCS, or each verdict, its share of the run in the sample.
    """
    if per_run < 1:
        raise CcsError(f"--per-run {per_run}: give a number of at least 1.")
    chosen: list[Candidate] = []
    for found in runs.values():
        chosen += _draw_from(found, per_run, seed, stratify)
    questions: dict[tuple[str, str], list[Origin]] = defaultdict(list)
    for candidate in chosen:
        questions[candidate.description, candidate.label].append(candidate.origin)
    order = np.random.default_rng(seed).permutation(len(questions))
    items, origins = [], []
    for number, (description, label) in enumerate((list(questions)[index] for index in order), 1):
        items.append(Item(str(number), description, label))
        origins += [Origin(**(vars(origin) | {"item": str(number)})) for origin in questions[description, label]]
    unjudged = {run: sum(item.origin.verdict == "unjudged" for item in found) for run, found in runs.items()}
    available = {run: len(found) - unjudged[run] for run, found in runs.items()}
    return Drawn(tuple(items), tuple(origins), available, unjudged)


def read_runs(run_dirs: Sequence[str | Path]) -> dict[str, list[Candidate]]:
    """The candidates of each run, by its folder as given. Raises `CcsError` for a folder given twice."""
    folders = [Path(run_dir).expanduser() for run_dir in run_dirs]
    twice = [str(folder) for folder, count in Counter(folder.resolve() for folder in folders).items() if count > 1]
    if twice:
        raise CcsError(f"{', '.join(twice)} is given more than once.")
    return {str(folder): candidates(str(folder)) for folder in folders}


def _draw_from(found: Sequence[Candidate], per_run: int, seed: int, stratify: Stratify | None) -> list[Candidate]:
    model = int.from_bytes(hashlib.sha256(found[0].origin.model.encode()).digest()[:4], "big")
    lots = np.random.default_rng([seed, model]).random(len(found))  # one for each place, so that unjudged ones shift nothing
    judged = sorted((lot, index) for index, lot in enumerate(lots) if found[index].origin.verdict != "unjudged")
    ranked = [found[index] for _, index in judged]
    strata: dict[object, list[Candidate]] = defaultdict(list)
    for candidate in ranked:
        strata[None if stratify is None else getattr(candidate.origin, stratify)].append(candidate)
    sizes = {key: len(members) for key, members in strata.items()}
    shares = _shares(sizes, min(per_run, len(ranked)))
    return [candidate for key in sorted(strata, key=str) for candidate in strata[key][: shares[key]]]


def _shares(sizes: Mapping[object, int], total: int) -> dict[object, int]:
    """`total` in proportion to `sizes`, in whole numbers: the largest remainders are rounded up."""
    everything = sum(sizes.values())
    exact = {key: total * size / everything for key, size in sizes.items()}
    shares = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(sizes, key=lambda key: (shares[key] - exact[key], str(key)))
    for key in by_remainder[: total - sum(shares.values())]:
        shares[key] += 1
    return shares
