"""From a model and probe images to five descriptions for every scored head."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import Shares, check_shares, contribution_maps
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.decompose import contributions, decompose, decompose_images, output_sums
from ccs_exp.scoring.moments import HeadMoments, pack_moments, unpack_moments
from ccs_exp.scoring.of_probe import kept_of_probe
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.textspan import textspan
from ccs_exp.store import Members, Stages, json_as


class Keeping(NamedTuple):
    """Under which keys moments (a pass over the probe) and descriptions (a TEXTSPAN run) are kept, and where it is noted what was computed.

    `sums`: of the sums of all outputs, `contributions`: of what each image is given, which the pass over the probe then gathers too.
    """

    moments: Mapping[str, Any] | None = None
    descriptions: Mapping[str, Any] | None = None
    sums: Mapping[str, Any] | None = None
    contributions: Mapping[str, Any] | None = None
    stages: Stages | None = None


def describe_heads(
    model: ClipModel,
    probe: ImageData,
    pool: Pool,
    compute: Compute,
    shares: Shares = "direct",
    keeping: Keeping | None = None,
) -> tuple[HeadSpans, ...]:
    """Decompose the probe images and pick each scored head's descriptions from the pool. `keeping` None: nothing is kept."""
    check_shares(model, shares)
    keeping = keeping or Keeping()
    stages, sums_key, images_key = keeping.stages, keeping.sums, keeping.contributions
    more = sums_key is not None or images_key is not None

    def describe() -> tuple[HeadSpans, ...]:
        found = probe_moments(model, probe, compute, keeping.moments, stages, gather if more else None)
        with compute.placed(model):
            texts = model.encode_texts(pool.descriptions, progress=compute.progress).cpu()
        return describe_from(found, model, pool, texts, shares)

    def gather() -> HeadMoments:
        found = decompose_images(model, probe, compute, sums=sums_key is not None, images=images_key is not None)
        if sums_key is not None:
            output_sums(model, probe, compute, sums_key, stages, lambda: found.sums)
        if images_key is not None:
            contributions(model, probe, compute, images_key, stages, found.seen)
        return found.moments

    return kept_of_probe("descriptions", keeping.descriptions, probe, describe, (pack_spans, unpack_spans), stages)


def probe_moments(
    model: ClipModel,
    probe: ImageData,
    compute: Compute,
    key: Mapping[str, Any] | None,
    stages: Stages | None = None,
    gather: Callable[[], HeadMoments] | None = None,
) -> HeadMoments:
    """The moments of the scored heads over the probe: those kept under `key`, or of a pass, which `gather` may make."""

    @stage("decompose")
    def of_pass() -> HeadMoments:
        note(images=len(probe))
        return decompose(model, probe, compute) if gather is None else gather()

    return kept_of_probe("moments", key, probe, of_pass, (pack_moments, unpack_moments), stages)


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
