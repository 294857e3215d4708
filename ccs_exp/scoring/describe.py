"""From a model and probe images to five descriptions for every scored head."""

from __future__ import annotations

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import Shares, contribution_maps
from ccs_exp.compute import Compute
from ccs_exp.data.batches import ImageData
from ccs_exp.journal import note, stage
from ccs_exp.scoring.decompose import decompose
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.scoring.textspan import textspan


def describe_heads(
    model: ClipModel, probe: ImageData, pool: Pool, compute: Compute, shares: Shares = "direct"
) -> tuple[HeadSpans, ...]:
    """Decompose the probe images and pick each scored head's descriptions from the pool."""
    with stage("decompose"):
        moments = decompose(model, probe, compute)
        note(images=len(probe))
    heads = moments.heads
    with stage("textspan"):
        maps = contribution_maps(model, range(heads[0].layer, heads[-1].layer + 1), shares)
        spans = textspan(moments, maps, model.encode_texts(pool.descriptions).cpu())
    return tuple(
        HeadSpans(head, tuple(pool.descriptions[pick] for pick in picks), explained_variance=float(explained))
        for head, picks, explained in zip(heads, spans.picks.tolist(), spans.explained_variance, strict=True)
    )
