"""The evidence of a job: what silencing costs, what heads represent, whether their labels are true; as tables and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from omegaconf import DictConfig

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import contribution_maps
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.evidence import group_accuracy, heads_table, sufficiency
from ccs_exp.evidence.concept_tests import load_concept_tests
from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.evidence.from_evaluation import Table, single_heads, tables
from ccs_exp.evidence.from_reading import detection, label_factors, represented
from ccs_exp.evidence.from_reading import sufficiency as sufficiency_table
from ccs_exp.evidence.group_accuracy import group_accuracy_rows
from ccs_exp.evidence.heads_table import HeadEvidence
from ccs_exp.evidence.label_truth import easily_had
from ccs_exp.evidence.reading import Reading, Wanted, read
from ccs_exp.evidence.skew import COLUMNS, MEANS_COLUMNS, skew_tables
from ccs_exp.evidence.sufficiency import Replacement
from ccs_exp.jobs.encode import image_data
from ccs_exp.jobs.evaluate_stage import image_tasks
from ccs_exp.jobs.intruder_stage import find_intruders
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.jobs.score_stage import Scored
from ccs_exp.jobs.stability_stage import find_stability
from ccs_exp.journal.log import note, stage
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.taxonomy import load_taxonomy
from ccs_exp.tasks.evaluation import Evaluation


@dataclass(frozen=True)
class Evidence:
    """`tables` by the names of their files, and what the summary says under ``evidence``."""

    tables: dict[str, Table]
    summary: dict[str, Any]


@stage("evidence")
def find_evidence(loaded: Loaded, scored: Scored, evaluation: Evaluation | None, scorers: Scorers) -> Evidence:
    """All that follows from what was computed already; with ``evidence.reading=true`` one more pass over the data set."""
    cfg, scores, asked = loaded.cfg, scored.scores.heads, loaded.cfg.evidence
    found = HeadEvidence(scores, load_concept_tests(asked.concept_tests), easily_had=easily_had(scores, load_taxonomy()))
    result, of_judges, intruders = find_intruders(scores, scorers, asked.intruder, asked.seed)
    found = replace(found, intruders=intruders)
    summary: dict[str, Any] = {"intruders": of_judges} if of_judges else {}
    if asked.stability or asked.other_probe:
        again = find_stability(loaded, scored.scores, scorers)
        result, found = result | {"stability.csv": again.table}, replace(found, halves=again.halves)
        summary |= {"stability": again.summary}
    if evaluation is not None:
        effects = Effects(evaluation, cfg.dataset.name, asked.seed)
        causal = single_heads(effects, [score.head for score in scores])
        of_evaluation, told = tables(effects, causal, asked.split)
        result, summary, found = result | of_evaluation, summary | told, replace(found, map=causal)
        if evaluation.rankings:
            of_rankings, told = _of_rankings(loaded, evaluation)
            result, summary = result | of_rankings, summary | told
        reads = asked.reading or asked.sufficiency
        if reads and not isinstance(loaded.data, CaptionedVideos) and all(score.descriptions for score in scores):
            factors = label_factors(scores, effects.tasks, found.tests)
            reading = _read(loaded, scores, factors)
            of_reading, found = _of_reading(cfg, reading, found, effects, factors)
            result |= of_reading
    rows = found.rows()
    return Evidence(result | {"evidence.csv": Table(heads_table.COLUMNS, rows)}, summary | found.summary(asked.seed))


def _of_rankings(loaded: Loaded, evaluation: Evaluation) -> tuple[dict[str, Table], dict[str, Any]]:
    """Of people that were ranked: skews, and how well each group is seen."""
    cfg = loaded.cfg
    assert not isinstance(loaded.data, CaptionedVideos)  # which nobody ranks
    rows, means = skew_tables(evaluation, cfg.protocol == "paper", cfg.evidence.seed)
    of_groups = group_accuracy_rows(evaluation, dict(loaded.data.tasks or {}), cfg.evidence.seed)
    found = {"skew.csv": Table(COLUMNS, rows), "skew_means.csv": Table(MEANS_COLUMNS, means)}
    found["group_accuracy.csv"] = Table(group_accuracy.COLUMNS, of_groups)
    return found, {"skew": [row for row in means if row["measure"] == "max_skew" and row["p"] is not None]}


@stage("read heads")
def _read(loaded: Loaded, scores: Sequence[HeadScore], factors: Mapping[int, int]) -> Reading:
    cfg, source, compute = loaded.cfg, loaded.data, loaded.compute
    assert not isinstance(source, CaptionedVideos)  # the caller asks of images only
    data = image_data(cfg, cfg.dataset, source, loaded.encoder, cfg.dataset.limit)
    note(images=len(data))
    with compute.placed(loaded.encoder):
        texts = _own_texts(loaded.encoder, scores, compute.progress)
    replacements = _replacements(loaded, texts) if cfg.evidence.sufficiency else {}
    wanted = Wanted(texts, factors, replacements)
    return read(loaded.encoder, data, image_tasks(cfg.dataset, source), wanted, compute)


def _of_reading(
    cfg: DictConfig, reading: Reading, found: HeadEvidence, effects: Effects, factors: Mapping[int, int]
) -> tuple[dict[str, Table], HeadEvidence]:
    scores, tasks = found.scores, effects.tasks
    represents, measured = represented(reading, tasks, cfg.evidence.seed)
    detected, areas = detection(reading, scores, tasks, factors)
    found = replace(
        found,
        represented=[None if place is None else tasks[place] for place in measured.represented],
        factors=tasks,
        detection=areas,
    )
    result = {"represents.csv": represents, "detection.csv": detected}
    return result | ({"sufficiency.csv": sufficiency_table(reading)} if reading.margins else {}), found


def _own_texts(model: ClipModel, scores: Sequence[HeadScore], progress: bool) -> torch.Tensor:
    """Embeddings of each head's label, then of its descriptions, ``[heads, texts, dim]``; zeros for a label that is missing."""
    texts = [[score.label or "", *score.descriptions] for score in scores]
    distinct = list(dict.fromkeys(text for of_head in texts for text in of_head if text))
    place = {text: number for number, text in enumerate(distinct, 1)}
    encoded = model.encode_texts(distinct, progress=progress).float().cpu()
    embeddings = torch.cat([torch.zeros(1, model.embedding_dim), encoded])
    return embeddings[torch.tensor([[place.get(text, 0) for text in of_head] for of_head in texts])]


def _replacements(loaded: Loaded, texts: torch.Tensor) -> dict[str, Replacement]:
    """What heads are replaced by: projections on their descriptions, on random ones of theirs all, on principal directions, and means."""
    model, layers = loaded.encoder, {head.layer for head in loaded.encoder.scored_heads}
    moments = loaded.probe_pass().moments()
    maps = contribution_maps(model, range(min(layers), max(layers) + 1), "direct")
    own = texts[:, 1:].double()
    pool = own.flatten(0, 1).unique(dim=0)
    return {
        "descriptions": sufficiency.of_descriptions(moments, maps, own),
        "random": sufficiency.of_random_descriptions(moments, maps, pool, loaded.cfg.evidence.seed),
        "principal": sufficiency.of_principal_directions(moments, maps),
        "means": sufficiency.of_means(moments, maps),
    }
