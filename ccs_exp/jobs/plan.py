"""``plan=true``: what a job would do and what it would cost, before it does anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from ccs_exp.clip.architecture import encoder_shape, memory_need, stated
from ccs_exp.data.images.batches import default_workers
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, SCORED_LAYERS, scored_heads
from ccs_exp.jobs.fetching import needs_of_job, said
from ccs_exp.llm.ledger import dollars
from ccs_exp.llm.prices import Forecast
from ccs_exp.run_folder.wording import plain
from ccs_exp.scoring.contributions import contributions_bytes
from ccs_exp.scoring.donors import donors_bytes
from ccs_exp.scoring.robustness import extra_requests
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.spans import HeadSpans, read_spans

USUAL_DESCRIPTION = 35  # characters: the mean of the paper's pool, in place of descriptions that are not picked yet


class PlanLine(NamedTuple):
    """One thing that the job would do."""

    stage: str
    text: str


def plan(cfg: DictConfig, scorers: Scorers, evaluates: bool) -> list[PlanLine]:
    """The lines of a job's plan. Stages that know their cost add theirs here."""
    fetched = [PlanLine("fetch", text) for text in said(needs_of_job(cfg, evaluates), known_only=False)]
    return fetched + encoding_lines(cfg, evaluates) + evidence_lines(cfg, evaluates) + scoring_lines(cfg, scorers)


def evidence_lines(cfg: DictConfig, evaluates: bool) -> list[PlanLine]:
    """What evidence takes beside the conditions: passes with nothing silenced, and scores anew, which language models may be asked for."""
    asked, lines = cfg.evidence, []
    shape = encoder_shape(*_model(cfg))
    if evaluates and "cost" in cfg.prune.curve.get("orders", ()):
        lines.append(PlanLine("evaluate", "first every scored head alone, for the order by cost: a pass of its own"))
    heads = min(SCORED_LAYERS, shape.layers) * shape.heads_per_layer if shape else None
    if evaluates and cfg.dataset.task == "classification" and (asked.reading or asked.sufficiency):
        text = f"every scored head once more over {cfg.dataset.name}, with nothing silenced: about the time of one condition"
        if heads:  # what a reading keeps of an image: six texts of each head, in single precision
            text += f"; {heads * 6 * 4 / 1e3:.1f} kB of memory an image, nothing on disk"
        lines.append(PlanLine("read", text))
    again = 2 * bool(asked.stability) + bool(asked.other_probe)
    if again:
        over = [f"the halves of {cfg.probe.name}"] * bool(asked.stability) + ["another probe"] * bool(asked.other_probe)
        text = f"heads described and scored {again} times more, over {' and '.join(over)}: as many passes over images as descriptions take"
        lines.append(PlanLine("stability", text))
        if heads:
            count = again * heads
            more = f"at most {count} more labels and {count * DESCRIPTIONS_PER_HEAD} more verdicts, where language models give them"
            lines.append(PlanLine("stability", more))
    return lines


def encoding_lines(cfg: DictConfig, evaluates: bool) -> list[PlanLine]:
    """The passes over images, and the memory that they need at most."""
    lines = []
    number = f"{cfg.probe.num_images:,} images" if cfg.probe.num_images else "the images"
    if cfg.ccs.name == "computed" and cfg.spans.name != "file":
        lines.append(PlanLine("describe", f"each head by {DESCRIPTIONS_PER_HEAD} texts, from {number} of {cfg.probe.name}"))
    if evaluates and cfg.ablation in ("mean", "direct"):
        lines.append(PlanLine("replace", f"what silenced heads add by its mean over {number} of {cfg.probe.name}"))
    if evaluates and cfg.ablation == "resample":
        lines.append(PlanLine("replace", f"what silenced heads add by that of at most {cfg.resample.donors} images of {cfg.probe.name}"))
    if evaluates:
        how = "in one pass" if cfg.engine == "shared" else "a full pass for each choice of heads"
        lines.append(PlanLine("evaluate", f"{cfg.dataset.name}, with all heads and with chosen heads silenced, {how}"))
    if not lines:
        return []
    device = "the GPU" if torch.cuda.is_available() and cfg.device in ("auto", "gpu", "cuda") else "a CPU"
    device = "MPS" if torch.backends.mps.is_available() and cfg.device in ("auto", "gpu", "mps") else device
    shape = encoder_shape(*_model(cfg))
    if shape is None:
        return lines
    anywhere = cfg.prune.random.get("layers") == "all" or cfg.prune.heads or cfg.prune.own  # masks may part before the scored layers
    need = memory_need(
        *_model(cfg),
        batch_size=cfg.batch_size,
        stack_size=cfg.stack_size if cfg.engine == "shared" else 1,
        on_cpu=device == "a CPU",
        parting_layers=shape.layers if anywhere else SCORED_LAYERS,
        workers=default_workers(one_process=False) if cfg.num_workers is None else cfg.num_workers,
    )
    lines.append(PlanLine("memory", stated(need, device)))
    if evaluates and cfg.ablation == "resample":
        layers = range(0 if anywhere else max(0, shape.layers - SCORED_LAYERS), shape.layers)
        last = shape.layers - 1 if shape.class_token_alone else None
        size = donors_bytes(cfg.resample.donors, layers, last, shape.tokens, shape.width, str(cfg.precision))
        lines.append(PlanLine("memory", f"outputs of those images: at most {size / 1e9:.2f} GB, in memory and in the store"))
    if cfg.atlas and cfg.ccs.name == "computed" and cfg.spans.name != "file":
        heads = min(SCORED_LAYERS, shape.layers) * shape.heads_per_layer
        images = cfg.probe.num_images or 1000
        size = contributions_bytes(images, heads, min(shape.coefficients_per_head, shape.embedding), shape.embedding)
        how = "at most" if cfg.probe.num_images else "for every 1,000 images"
        lines.append(PlanLine("memory", f"what heads add to them: {how} {size / 1e6:.0f} MB in the store, six times that meanwhile"))
    return lines


def scoring_lines(cfg: DictConfig, scorers: Scorers) -> list[PlanLine]:
    """What labels and verdicts would take; exact in number where the descriptions are given, else by the architecture's heads."""
    if cfg.ccs.name != "computed":
        return [PlanLine("score", f"ccs={cfg.ccs.name}: the scores are there already")]
    heads, known = heads_to_score(cfg)
    if not heads:
        return [PlanLine("score", f"how many heads {cfg.model.name} has is known only once it is loaded")]
    count = f"{len(heads)} heads, {len(heads) * DESCRIPTIONS_PER_HEAD} descriptions"
    if not known:
        count += " (not picked yet: their length is guessed, and what is kept of their replies is not known)"
    lines = [PlanLine("score", f"{count}; labeler {scorers.labeler.name}, judge {scorers.judge.name}")]
    lines += forecast_lines(scorers.forecast(heads), scorers.session.ledger.limit)
    return lines + robustness_lines(len(heads), cfg.robustness)


def heads_to_score(cfg: DictConfig) -> tuple[Sequence[HeadSpans], bool]:
    """The heads that would be labelled, and whether their descriptions are known; none for a model of unknown shape."""
    if cfg.spans.name == "file":
        return read_spans(cfg.spans.path), True
    shape = encoder_shape(*_model(cfg))
    return (_unknown_heads(shape.layers, shape.heads_per_layer) if shape else []), False


def number_of_samples(node: DictConfig) -> int | None:
    """As many as the configuration of a data set or probe says that there are."""
    sizes = map(node.source.get, ("samples", "num_images", "num_videos"))
    return min(filter(None, (next(filter(None, sizes), None), node.get("limit"))), default=None)


def _model(cfg: DictConfig) -> tuple[str, str | None, bool]:
    return cfg.model.name, cfg.model.architecture, cfg.model.repository


def forecast_lines(found: list[Forecast], limit: float | None) -> list[PlanLine]:
    """A line for each kind of request, and one for the sum."""
    lines = [PlanLine("ask", item.line()) for item in found]
    to_ask = sum(item.requests - item.kept for item in found)
    if len(found) > 1 and to_ask:
        asked = [item for item in found if item.requests > item.kept]
        prices = [item.cost for item in asked if item.cost is not None]
        sum_of = f"about {dollars(sum(prices))}" if len(prices) == len(asked) else "the price is not known of all"
        lines.append(PlanLine("ask", f"together {to_ask} requests to send, {sum_of}"))
    known = [item.cost for item in found if item.cost is not None]
    if limit is not None and sum(known) > limit:
        lines.append(PlanLine("ask", f"that is above max_cost_usd={limit:g}: the job would stop there, and keep what came"))
    return lines


def robustness_lines(heads: int, asked: DictConfig) -> list[PlanLine]:
    """What the robustness options ask beyond the scores; a question that comes up again is asked once."""
    extra = extra_requests(heads, asked.relabel_draws, asked.shuffled_labels)
    if not any(extra):
        return []
    return [PlanLine("ask", f"robustness: {extra.labels} more labels, at most {extra.questions} more verdicts")]


def show(lines: list[PlanLine]) -> None:
    """Print the plan, texts as they are."""
    console, stage = Console(), ""
    for line in lines:
        console.print(Text.assemble((f"{'' if line.stage == stage else line.stage:10}", "bold"), plain(line.text)), soft_wrap=True)
        stage = line.stage


def _unknown_heads(layers: int, heads_per_layer: int) -> list[HeadSpans]:
    return [
        HeadSpans(head, tuple(f"{head} {number}".ljust(USUAL_DESCRIPTION, "x") for number in range(DESCRIPTIONS_PER_HEAD)))
        for head in scored_heads(layers, heads_per_layer)
    ]
