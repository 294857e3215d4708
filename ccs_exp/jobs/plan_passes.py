"""What a job's passes over images take in layers and seconds, and leave on disk and in memory: what of ``plan=true`` is measured.

Passes are counted in multiplications, as parts of a full one; how fast those go here is measured, on a layer of the model's size. A plan
knows no CCS yet: where scores are computed, sets of heads are counted as if each CCS were as frequent as any other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from omegaconf import DictConfig

from ccs_exp.clip import operations
from ccs_exp.clip.architecture import EncoderShape, encoder_shape
from ccs_exp.clip.engine import Engine
from ccs_exp.clip.operations import shared_layer_passes
from ccs_exp.clip.readout import SHARED_COEFFICIENTS
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, SCORED_LAYERS, Condition, scored_heads
from ccs_exp.jobs.assemble import build_strategies, build_thresholds
from ccs_exp.jobs.encode import build_compute
from ccs_exp.jobs.plan import PlanLine, number_of_samples
from ccs_exp.pruning.conditions import conditions
from ccs_exp.pruning.context import PruningContext
from ccs_exp.pruning.strategies import EachHead
from ccs_exp.scoring.ccs import HeadScore, Scores
from ccs_exp.scoring.published import published_scores, scores_from_csv
from ccs_exp.tasks.evaluation import distinct_sets

_TOKENS = 1024  # of the batch that is measured on a CPU: enough for its speed, little enough to take no time
_THOUSAND = 1000  # images that are spoken of where their number is not known
_ROW_ON_DISK, _ROW_MEANWHILE = 10, 120  # bytes of a row of predictions.parquet, and while it is written: measured, of 550,000 random rows
_ROW_KEPT = 12  # prediction, margin and log-probability, in the store and in memory


class Work(NamedTuple):
    """One or several passes over the same images; `images` None: their number is not known before."""

    what: str
    images: int | None
    passes: float


def pass_lines(cfg: DictConfig, evaluates: bool) -> list[PlanLine]:
    """Seconds of every pass, then disk and memory. None for a model of unknown shape."""
    shape = encoder_shape(cfg.model.name, cfg.model.architecture, cfg.model.repository)
    chosen = _conditions(cfg, shape) if shape and evaluates else ()
    work = _work(cfg, shape, chosen, evaluates) if shape else []
    if shape is None or not work:
        return []
    layer = seconds_of_layer(cfg, shape)
    each = layer * shape.layers
    device = build_compute(cfg).device_type
    lines = [f"an image takes {1e3 * layer:.2g} ms in a layer of this size (of {shape.layers}), measured now on {device}"]
    if evaluates and cfg.ccs.name not in ("published", "file"):
        lines.append("sets of heads, which scores will name, are counted as if each CCS were as frequent as any other")
    for item in work:
        number = f"{item.images:,} images" if item.images else "every 1,000 images"
        lines.append(f"{item.what}: {number}, {item.passes:.1f} passes: about {_duration(each * item.passes * (item.images or _THOUSAND))}")
    known = [each * item.passes * item.images for item in work if item.images]
    more = "" if len(known) == len(work) else ", and what cannot be told"
    beside = "decoding, texts and statistics come on top; what is kept is not done again"
    lines.append(f"together about {_duration(sum(known))}{more}; {beside}")
    said = [PlanLine("evaluate", planned_layer_passes(cfg, shape.layers, chosen))] if evaluates else []
    left = [PlanLine("disk", line) for line in _left(cfg, shape, chosen, evaluates)]
    return said + [PlanLine("time", line) for line in lines] + left


def layer_passes_of(engine: Engine, layers: int, chosen: Sequence[Condition]) -> str:
    """What `engine` takes for these conditions, beside a pass each."""
    masks, seeds = distinct_sets(chosen, engine.seeds)
    return _said(engine.layer_passes(layers, masks, seeds), layers, len(masks))


def planned_layer_passes(cfg: DictConfig, layers: int, chosen: Sequence[Condition]) -> str:
    """The same before there is an engine."""
    masks, seeds = distinct_sets(chosen, donor_seeds(cfg))
    taken = layers * len(masks) if cfg.engine == "plain" else shared_layer_passes(layers, masks, seeds)
    return _said(layers if cfg.ablation == "direct" else taken, layers, len(masks))


def donor_seeds(cfg: DictConfig) -> tuple[int, ...]:
    """Under which every set of heads is evaluated; one that means nothing where no donors are drawn."""
    return tuple(cfg.resample.seeds) if cfg.ablation == "resample" else (0,)


def _said(taken: int, layers: int, sets: int) -> str:
    of = f"{sets:,} set{'s' * (sets != 1)} of silenced heads"
    return f"{of} in {taken:,} layer passes of each batch ({layers * sets:,} would be a pass each)"


def seconds_of_layer(cfg: DictConfig, shape: EncoderShape) -> float:
    """That an image takes in one layer: torch's own of the same size, over a batch of noise, the faster of two runs after a first."""
    device = torch.device(build_compute(cfg).device_type)
    count = cfg.batch_size if device.type != "cpu" else max(1, min(cfg.batch_size, _TOKENS // shape.tokens))
    kind = {"16": torch.float16, "bf": torch.bfloat16, "64": torch.float64}.get(str(cfg.precision)[:2], torch.float32)
    layer = torch.nn.TransformerEncoderLayer(
        shape.width, shape.heads_per_layer, 4 * shape.width, activation="gelu", batch_first=True, norm_first=True, device=device, dtype=kind
    )
    tokens = torch.randn(count, shape.tokens, shape.width, device=device, dtype=kind)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            started = time.perf_counter()
            layer.eval()(tokens).sum().item()  # which waits for the device
            times.append(time.perf_counter() - started)
    return min(times[1:]) / count


def _work(cfg: DictConfig, shape: EncoderShape, chosen: tuple[Condition, ...], evaluates: bool) -> list[Work]:
    asked, probe, data, found = cfg.evidence, cfg.probe.num_images, _images(cfg), []
    computed = cfg.ccs.name == "computed" and cfg.spans.name != "file"
    if computed or (evaluates and cfg.ablation in ("mean", "direct")):
        found.append(Work("describe" if computed else "means", probe, 1))
    if evaluates and cfg.ablation == "resample":
        found.append(Work("donors", min(probe or cfg.resample.donors, cfg.resample.donors), 1))
    if evaluates:
        if "cost" in cfg.prune.curve.get("orders", ()):
            alone = conditions([EachHead()], _context(cfg, shape))
            found.append(Work("every head alone, for the order by cost", data, _passes(cfg, shape, alone)))
        sets, _ = distinct_sets(chosen, donor_seeds(cfg))
        found.append(Work(f"evaluate, {len(sets)} sets of heads", data, _passes(cfg, shape, chosen)))
        if cfg.dataset.task == "classification" and (asked.reading or asked.sufficiency):
            found.append(Work("read heads", data, 1))
    found += [Work("stability, both halves", probe, 1)] * bool(asked.stability)
    return found + [Work("stability, another probe", probe, 1)] * bool(asked.other_probe)


def _left(cfg: DictConfig, shape: EncoderShape, chosen: tuple[Condition, ...], evaluates: bool) -> list[str]:
    """Bytes of what evidence writes and holds; donors and kept contributions are said elsewhere."""
    lines = []
    asked, k = cfg.evidence, shape.coefficients_per_head
    if evaluates:
        images, of_image = _images(cfg), max(1, len(cfg.dataset.get("tasks") or ()))
        seeds = donor_seeds(cfg)
        rows = of_image * (images or _THOUSAND) * sum(len(seeds) if condition.heads else 1 for condition in chosen)
        kept = of_image * (images or _THOUSAND) * len(distinct_sets(chosen, seeds)[0]) * _ROW_KEPT
        how = "at most" if images else "for every 1,000 images of a task"
        written = f"{_size(rows * _ROW_ON_DISK)}, and {_size(rows * _ROW_MEANWHILE)} of memory while it is written"
        lines.append(f"predictions.parquet: {how} {rows:,} rows, {written}; in the store {_size(kept)}, as much in memory")
    if evaluates and cfg.ablation in ("mean", "direct"):
        tokens = (shape.layers - 1) * shape.tokens + (1 if shape.class_token_alone else shape.tokens)
        size = 8 * (tokens * shape.width + shape.layers * shape.heads_per_layer * k)
        lines.append(f"means over the probe: {_size(size)} in the store, as much in memory")
    again = 2 * bool(asked.stability) + bool(asked.other_probe)
    if again:
        heads, of_moments = min(SCORED_LAYERS, shape.layers) * shape.heads_per_layer, k + SHARED_COEFFICIENTS
        size = 8 * heads * of_moments * (of_moments + 1)
        lines.append(f"stability: {again} times {_size(size)} of moments in the store, as much in memory at a time")
    return lines


def _passes(cfg: DictConfig, shape: EncoderShape, chosen: tuple[Condition, ...]) -> float:
    """In full passes."""
    if cfg.ablation == "direct":
        return 1
    sets, seeds = distinct_sets(chosen, donor_seeds(cfg))
    return operations.shared(shape, sets, seeds) / operations.full_pass(shape) if cfg.engine == "shared" else len(sets)


def _conditions(cfg: DictConfig, shape: EncoderShape) -> tuple[Condition, ...]:
    return conditions(build_strategies(cfg.prune), _context(cfg, shape), cfg.prune.match_seeds if cfg.prune.match_count else None)


def _context(cfg: DictConfig, shape: EncoderShape) -> PruningContext:
    if cfg.ccs.name == "published":
        scores = published_scores(cfg.model.variant)
    elif cfg.ccs.name == "file":
        scores = scores_from_csv(cfg.ccs.path, build_thresholds(cfg.ccs))
    else:
        thresholds, heads = build_thresholds(cfg.ccs), scored_heads(shape.layers, shape.heads_per_layer, SCORED_LAYERS)
        ccs = [place % (DESCRIPTIONS_PER_HEAD + 1) for place in range(len(heads))]
        scores = Scores(tuple(HeadScore(head, None, of, thresholds.classify(of)) for head, of in zip(heads, ccs, strict=True)))
    costs = {score.head: 0.0 for score in scores.heads}
    return PruningContext(scores, shape.layers, shape.heads_per_layer, cfg.model.name, costs)


def _images(cfg: DictConfig) -> int | None:
    """Of the data set, frames of videos each; None where only opening it would tell."""
    number = number_of_samples(cfg.dataset)
    return number and number * (cfg.dataset.frames if cfg.dataset.task == "retrieval" else 1)


def _duration(seconds: float) -> str:
    """
    >>> _duration(0.31), _duration(95), _duration(400), _duration(9000)
    ('0.3 s', '95 s', '7 minutes', '2.5 hours')
    """
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _size(number: float) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
