"""From a model and probe images to five descriptions for every scored head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import Shares, contribution_maps
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.heads import Head
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.decompose import decompose, decompose_with_sums, output_sums
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.textspan import textspan
from ccs_exp.store import Members, Stages, kept, pack_tensors, unpack_tensors


def describe_heads(
    model: ClipModel,
    probe: ImageData,
    pool: Pool,
    compute: Compute,
    shares: Shares = "direct",
    keys: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    stages: Stages | None = None,
    sums_key: Mapping[str, Any] | None = None,
) -> tuple[HeadSpans, ...]:
    """Decompose the probe images and pick each scored head's descriptions from the pool.

    Args:
        keys: of the moments and of the descriptions in the store; None: neither is kept.
        stages: notes what was computed: `moments` is a pass over the probe, `descriptions` a TEXTSPAN run.
        sums_key: of the sums of all outputs in the store, which a pass over the probe then gathers too.
    """
    moments_key, descriptions_key = keys or (None, None)

    def describe() -> tuple[HeadSpans, ...]:
        found = kept("moments", moments_key, gather, pack, unpack, stages)
        with compute.placed(model):
            texts = model.encode_texts(pool.descriptions).cpu()
        return describe_from(found, model, pool, texts, shares)

    @stage("decompose")
    def gather() -> HeadMoments:
        note(images=len(probe))
        if sums_key is None:
            return decompose(model, probe, compute)
        moments, sums = decompose_with_sums(model, probe, compute)
        output_sums(model, probe, compute, sums_key, stages, lambda: sums)
        return moments

    def pack(moments: HeadMoments) -> dict[str, bytes]:
        return pack_moments(moments) | {"skipped": json.dumps(probe.skipped).encode()}

    def unpack(members: Members) -> HeadMoments:
        probe.skipped = json.loads(members["skipped"])
        return unpack_moments(members)

    def pack_described(spans: tuple[HeadSpans, ...]) -> dict[str, bytes]:
        return {"heads": json.dumps(spans_as_json(spans)).encode(), "skipped": json.dumps(probe.skipped).encode()}

    def unpack_described(members: Members) -> tuple[HeadSpans, ...]:
        probe.skipped = json.loads(members["skipped"])
        return spans_from_json(json.loads(members["heads"]))

    return kept("descriptions", descriptions_key, describe, pack_described, unpack_described, stages)


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


def pack_moments(moments: HeadMoments) -> dict[str, bytes]:
    head = {"heads": [str(head) for head in moments.heads], "num_images": moments.num_images}
    return {"moments": json.dumps(head).encode()} | pack_tensors({"first": moments.first, "second": moments.second})


def unpack_moments(members: Members) -> HeadMoments:
    head, tensors = json.loads(members["moments"]), unpack_tensors(members)
    return HeadMoments(tuple(map(Head.parse, head["heads"])), head["num_images"], tensors["first"], tensors["second"])


def spans_as_json(spans: tuple[HeadSpans, ...]) -> list[list[Any]]:
    return [[str(item.head), list(item.descriptions), item.label, item.explained_variance, item.model] for item in spans]


def spans_from_json(found: list[list[Any]]) -> tuple[HeadSpans, ...]:
    return tuple(
        HeadSpans(Head.parse(head), tuple(texts), label, explained, model) for head, texts, label, explained, model in found
    )
