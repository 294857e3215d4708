"""From a model and probe images to five descriptions for every scored head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import Shares, check_shares, contribution_maps
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.journal.log import stage
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.textspan import textspan
from ccs_exp.store import Members, json_as


def describe_heads(
    passed: ProbePass, pool: Pool, shares: Shares = "direct", key: Mapping[str, Any] | None = None
) -> tuple[HeadSpans, ...]:
    """Decompose the probe images and pick each scored head's descriptions from the pool, kept under `key` (None: nowhere)."""
    model = passed.model
    check_shares(model, shares)

    def describe() -> tuple[HeadSpans, ...]:
        found = passed.moments()
        with passed.compute.placed(model):
            texts = model.encode_texts(pool.descriptions, progress=passed.compute.progress).cpu()
        return describe_from(found, model, pool, texts, shares)

    return passed.kept("descriptions", key, describe, (pack_spans, unpack_spans), passed.stages)


def describe_from(
    moments: HeadMoments, model: ClipModel, pool: Pool, texts: Float[Tensor, "pool dim"], shares: Shares
) -> tuple[HeadSpans, ...]:
    """The descriptions, whose embeddings are `texts`, that TEXTSPAN picks for the heads whose moments are given."""
    heads = moments.heads
    with stage("textspan"):
        maps = contribution_maps(model, range(heads[0].layer, heads[-1].layer + 1), shares)
        spans = textspan(moments, maps, texts)
    return tuple(
        HeadSpans(head, tuple(pool.descriptions[pick] for pick in picks), explained_variance=float(explained))
        for head, picks, explained in zip(heads, spans.picks.tolist(), spans.explained_variance, strict=True)
    )


def spans_as_json(spans: tuple[HeadSpans, ...]) -> list[list[Any]]:
    return [[str(item.head), list(item.descriptions), item.label, item.explained_variance, item.model] for item in spans]


def pack_spans(spans: tuple[HeadSpans, ...]) -> dict[str, bytes]:
    return {"heads": json.dumps(spans_as_json(spans)).encode()}


def unpack_spans(members: Members) -> tuple[HeadSpans, ...]:
    """What `spans_as_json` made. Raises on anything else."""
    found = json_as(list[tuple[str, tuple[str, ...], str | None, float | None, str | None]], members["heads"])
    if any(len(texts) != DESCRIPTIONS_PER_HEAD for _, texts, *_ in found):
        raise ValueError(f"a head without {DESCRIPTIONS_PER_HEAD} descriptions")
    return tuple(HeadSpans(Head.parse(head), *rest) for head, *rest in found)
