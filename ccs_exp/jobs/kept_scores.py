"""Scores as an entry of the store. An entry point of their keys (`ccs_exp.jobs.keys`): what it imports is what they rest on."""

from __future__ import annotations

import json
from typing import Literal

from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.store import Members, json_as

_Ccs = Literal[0, 1, 2, 3, 4, 5] | None
_Class = Literal["high", "moderate", "low"] | None
_Row = tuple[str, str | None, _Ccs, _Class, tuple[str, ...], tuple[Verdict, ...], float | None]


def pack_scores(scores: Scores) -> dict[str, bytes]:
    heads = [
        [str(item.head), item.label, item.ccs, item.ccs_class, item.descriptions, item.verdicts, item.explained_variance]
        for item in scores.heads
    ]
    return {"heads": json.dumps(heads).encode(), "model": json.dumps(scores.model).encode()}


def unpack_scores(members: Members) -> Scores:
    """What `pack_scores` made. Raises on anything else."""
    rows = json_as(list[_Row], members["heads"])
    if any(len(texts) != len(verdicts) for *_, texts, verdicts, _ in rows):
        raise ValueError("a head with more descriptions than verdicts, or fewer")
    return Scores(
        tuple(HeadScore(Head.parse(head), *rest) for head, *rest in rows), model=json_as(str | None, members["model"])
    )
