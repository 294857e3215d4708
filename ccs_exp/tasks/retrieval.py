"""Video retrieval, text to video and video to text, under every pruning condition in one pass over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.engine import Engine
from ccs_exp.clip.model import ClipModel
from ccs_exp.compute.shared_pass import SharedModule
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.videos.captioned import CaptionedVideos, VideoFile
from ccs_exp.data.videos.decoding import decoder
from ccs_exp.data.videos.frame_batches import FrameBatch, FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition
from ccs_exp.tasks.chance import OF_CAPTIONS, no_better_than_chance
from ccs_exp.tasks.evaluation import Evaluation, Outcomes, distinct_sets
from ccs_exp.tasks.margins import right_margins
from ccs_exp.tasks.ranking import ranks, retrieval_metrics

PRIMARY_METRIC = "t2v_R@1"
DIRECTIONS = ("t2v", "v2t")
_FETCHED_AT_ONCE = 32  # batches


class VideoEmbedding(SharedModule):
    """Means of the frames' L2-normalised embeddings, ``[masks, videos, dim]`` in double precision, under all conditions.

    Conditions with the same heads are computed once. Sums in double precision do not depend on where a batch ends.
    """

    def __init__(
        self, model: ClipModel, texts: Float[Tensor, "captions dim"], num_videos: int, conditions: Sequence[Condition], engine: Engine
    ):
        super().__init__()
        self.model, self.texts, self.engine = model, texts, engine
        self.masks, self.seeds = distinct_sets(conditions, engine.seeds)
        self.scale = model.logit_scale
        self.sums = torch.zeros(len(self.masks), num_videos, model.embedding_dim, dtype=torch.float64)  # stays on the CPU
        self.counts = torch.zeros(num_videos, dtype=torch.float64)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def test_step(self, batch: FrameBatch, batch_idx: int) -> None:
        embeddings = self.engine.encode(self.model, batch.pixels, self.masks, batch.frame_ids, self.seeds)
        self._waiting.append((embeddings, batch.videos))
        if len(self._waiting) == _FETCHED_AT_ONCE:
            self._fetch()

    def on_test_end(self) -> None:
        self._fetch()

    def _fetch(self) -> None:
        """Add what waits on the device to the sums; to do so for each batch would hold up the next."""
        for embeddings, videos in self._waiting:  # [masks, batch, dim], [batch]
            self.sums.index_add_(1, videos.cpu(), embeddings.cpu().double())
            self.counts.index_add_(0, videos.cpu(), torch.ones(len(videos), dtype=torch.float64))
        self._waiting.clear()

    def share_result(self) -> tuple[Tensor, Tensor, list[str]]:
        return self.sums, self.counts, self.engine.warnings

    def combine_shares(self, results: Sequence[tuple[Tensor, Tensor, list[str]]]) -> None:
        sums, counts, warnings = zip(*results, strict=True)
        self.sums, self.counts = sum(sums[1:], sums[0]), sum(counts[1:], counts[0])  # a video is whole in one share
        self.engine.warnings = list(dict.fromkeys(warning for share in warnings for warning in share))

    def means(self, mask: int) -> Float[Tensor, "videos dim"]:
        return self.sums[mask] / self.counts.clamp(min=1)[:, None]


def retrieve(
    model: ClipModel,
    data: FrameData,
    conditions: Sequence[Condition],
    engine: Engine,
    compute: Compute,
    *,
    renormalise: bool,
    name: str = "retrieval",
) -> Evaluation:
    """Evaluate all conditions on `data` in one pass, as the task `name`.

    A video is the mean of its frames' normalised embeddings, with `renormalise` normalised again (``protocol=standard``; the paper's
    way is without). Captions and videos are compared by dot products. A video that cannot be decoded stays in the gallery, behind
    all others; its own queries have the last rank and are no hit at any depth, and so is it as a query.

    Raises `CcsError` if no video can be decoded, or embeddings are not numbers.
    """
    collection = data.captioned
    with compute.placed(model):
        texts = model.encode_texts(collection.captions, progress=compute.progress).double().cpu()
    task = VideoEmbedding(model, texts, len(collection.videos), conditions, engine)
    compute.run(task, data, "Evaluating conditions")
    unreadable = np.zeros(len(collection.videos), dtype=bool)
    unreadable[data.unreadable] = True
    if unreadable.all():
        raise CcsError(f"No video of the data set could be decoded. The first: {data.skipped[0]}")
    scored = [_scored(task, mask, collection, unreadable, renormalise) for mask in range(len(task.masks))]
    outcomes, warnings, count = _outcomes(collection, scored), [], len(collection.videos)
    if data.skipped:
        number = f"{len(data.skipped):,} of {count:,} videos"
        warnings.append(f"{number} could not be decoded and were skipped: their queries count as misses.")
    if frozenset() in task.masks:  # counted in videos, because captions of one are not independent
        hits = round(outcomes.values[task.masks.index(frozenset())][PRIMARY_METRIC] * count)
        warnings += no_better_than_chance(PRIMARY_METRIC, hits, count, 1 / count, OF_CAPTIONS)
    return Evaluation(
        tuple(conditions),
        task.masks,
        {name: outcomes},
        task.seeds,
        skipped=list(data.skipped),
        warnings=warnings,
        decoder=decoder() if any(isinstance(video, VideoFile) for video in collection.videos) else None,
    )


class _Ranked(NamedTuple):
    """The queries of one direction under one mask."""

    rank: Float[np.ndarray, " queries"]
    missed: Bool[np.ndarray, " queries"]
    margin: Float[np.ndarray, " queries"]  # in logits; nan for what is missed


class _Scored(NamedTuple):
    """Both directions under one mask; `ties`: captions for which several videos are equally the best."""

    t2v: _Ranked
    v2t: _Ranked
    ties: int


def _outcomes(collection: CaptionedVideos, scored: Sequence[_Scored]) -> Outcomes:
    """Captions' queries first, then videos'."""
    counts = len(collection.captions), len(collection.videos)
    both = [[getattr(found, direction) for direction in DIRECTIONS] for found in scored]
    return Outcomes(
        primary=PRIMARY_METRIC,
        id_column="query_id",
        ids=[*collection.caption_ids, *(video.video_id for video in collection.videos)],
        fixed={"direction": np.repeat(np.array(DIRECTIONS, dtype=object), counts)},
        columns={
            name: np.stack([np.concatenate([getattr(part, name) for part in parts]) for parts in both]).astype(kind)
            for name, kind in (("rank", np.float64), ("margin", np.float32))
        },
        values=[
            {
                metric: value
                for direction, part in zip(DIRECTIONS, parts, strict=True)
                for metric, value in retrieval_metrics(part.rank, part.missed, direction).items()
            }
            for parts in both
        ],
        tied=[found.ties for found in scored],
        num_samples=counts[0],
    )


def _scored(task: VideoEmbedding, mask: int, collection: CaptionedVideos, unreadable: np.ndarray, renormalise: bool) -> _Scored:
    """Ranks and margins of both directions."""
    videos = task.means(mask)
    if renormalise:
        videos = F.normalize(videos, dim=-1)
    # rounded from double precision, so that equal embeddings give equal similarities wherever they stand in the matrix
    similarities = (task.texts @ videos.T).float().numpy()  # [captions, videos]
    if not np.isfinite(similarities).all():
        raise CcsError("The embeddings are not all finite numbers. Use precision=32, or check the model's weights.")
    similarities[:, unreadable] = -np.inf
    of_video, index = np.array(collection.of_video), np.arange(len(collection.videos))
    ties = int((np.count_nonzero(similarities == similarities.max(axis=1, keepdims=True), axis=1) > 1).sum())
    to_video = _ranked(similarities, index, of_video, unreadable[of_video], task.scale)
    return _Scored(to_video, _ranked(similarities.T, of_video, index, unreadable, task.scale), ties)


def _ranked(similarities: np.ndarray, owner: np.ndarray, target: np.ndarray, missed: np.ndarray, scale: float) -> _Ranked:
    """The queries of one direction, those that are missed behind all candidates."""
    rank, margin, known = np.full(len(target), float(len(owner))), np.full(len(target), np.nan), np.flatnonzero(~missed)
    found = np.ascontiguousarray(similarities[known])
    rank[known] = ranks(found, owner, target[known])
    margin[known] = scale * right_margins(found, owner, target[known])
    return _Ranked(rank, missed, margin)
