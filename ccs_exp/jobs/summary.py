"""A job in one JSON object: its main numbers, what they depend on, and what a reader must be told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from ccs_exp.clip.model import ClipModel
from ccs_exp.data.images.batches import ImageData
from ccs_exp.heads import ORIGINAL, Condition
from ccs_exp.jobs.keys import WITHOUT_EFFECT, decisive
from ccs_exp.jobs.rows import primary_values, random_spread
from ccs_exp.pruning.conditions import empty_conditions
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.concepts import load_concepts
from ccs_exp.scoring.judges.judge import Question
from ccs_exp.scoring.judges.opinion import opinions_of
from ccs_exp.scoring.judges.panel import Panel, between_judges
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.robustness import Rescored, summarise_null, summarise_relabel
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.taxonomy import load_taxonomy
from ccs_exp.store import Stages
from ccs_exp.tasks.evaluation import Evaluation


@dataclass(frozen=True)
class Finished:
    """A finished job; what it did not need is None."""

    name: str
    dataset: str | None
    config: Mapping[str, Any]
    model: ClipModel | None
    scores: Scores
    pool: Pool | None
    probe: ImageData | None
    conditions: tuple[Condition, ...]
    evaluation: Evaluation | None
    rescored: tuple[Rescored, ...] = ()
    scorers: Scorers | None = None
    stages: Stages = field(default_factory=Stages)
    device: str | None = None

    @property
    def skipped(self) -> list[str]:
        """What could not be decoded, of the probe and of the data set."""
        return [*(self.probe.skipped if self.probe else []), *(self.evaluation.skipped if self.evaluation else [])]


def summarise(job: Finished) -> dict[str, Any]:
    """The content of ``summary.json``."""
    accuracy = primary_values(job.evaluation) if job.evaluation else None
    at_k = job.scores.ccs_at_k()
    descriptions = [text for score in job.scores.heads for text in score.descriptions]
    weights, pool, probe = job.model.origin if job.model else None, job.pool, job.probe
    decoder = job.evaluation.decoder if job.evaluation else None
    return {
        "model": job.name,
        "dataset": job.dataset,
        "choices": _choices(job.config),
        "config_hash": config_hash(
            job.config,
            weights.sha256 if weights else None,
            pool.sha256 if pool else None,
            decoder,
            job.scorers.session.prompts if job.scorers else (),
        ),
        "weights": {"origin": weights.description, "sha256": weights.sha256} if weights else None,
        "pool": {"name": pool.name, "sha256": pool.sha256, "descriptions": len(pool.descriptions)} if pool else None,
        "decoder": decoder,
        "probe": {"name": job.config["probe"]["name"], "images": len(probe) - len(probe.skipped), "decoder": probe.source.decoder}
        if probe
        else None,
        "ccs_at_k": {str(k): fraction for k, fraction in at_k.items()} if at_k else None,
        "heads_per_class": {name: len(job.scores.of_class(name)) for name in ("high", "moderate", "low")},
        "metric": job.evaluation.primary if accuracy else None,
        "accuracy": accuracy,
        "delta": {name: value - accuracy[ORIGINAL] for name, value in accuracy.items()} if accuracy else None,
        "random": random_spread(accuracy) if accuracy else None,
        "num_samples": job.evaluation.num_samples if job.evaluation else None,
        "top1_ties": job.evaluation.ties if job.evaluation else None,
        "tagged_share": load_taxonomy().tagged_share(descriptions) if descriptions else None,
        "robustness": {
            "relabel": summarise_relabel(job.scores, job.rescored),
            "shuffled_labels": summarise_null(job.scores, job.rescored),
        }
        if job.rescored
        else None,
        "skipped": job.skipped,
        "unjudged": job.scores.unjudged,
        "device": job.device,
        "from_store": job.stages.from_store,
        "computed": job.stages.computed,
        "language_models": job.scorers and job.scorers.session.summary(),
        "judges": job.scorers and _judges(job.scorers, job.scores),
        "warnings": _warnings(job),
    }


def config_hash(
    config: Mapping[str, Any],
    weights_sha256: str | None,
    pool_sha256: str | None,
    decoder: str | None = None,
    prompts: Sequence[str] = (),
) -> str:
    """Sixteen hexadecimal digits that change with configuration, weights, pool, decoder of videos, prompts and the package's version.

    Images and files named in the configuration count by their path alone.
    """
    effective = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    for part in ("labeler", "judge"):
        effective[part] = decisive(effective.get(part) or {})
    identity = {"config": effective, "weights": weights_sha256, "pool": pool_sha256, "version": version("ccs_exp")}
    if decoder:
        identity["decoder"] = decoder
    identity |= {"prompts": sorted(prompts)} if prompts else {}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen that decides with which other runs this one compares."""
    named = ("spans", "ccs", "labeler", "judge", "probe", "pool")
    return {group: config[group]["name"] for group in named} | {
        "judge_model": config["judge"].get("model"),
        "thresholds": [config["ccs"]["high"], config["ccs"]["low"]],
        "textspan": config["textspan"],
        "ablation": config["ablation"],
        "match_count": config["prune"]["match_count"],
        "random_layers": config["prune"]["random"].get("layers"),
        "protocol": config.get("protocol", "standard"),
        "limit": config["dataset"]["limit"],
    }


def _concept_warnings(job: Finished) -> list[str]:
    concept_map, warnings = load_concepts(job.config["prune"]["concept"].get("map")), []
    if any(condition.name.startswith("concept/") and not condition.heads for condition in job.conditions):
        warnings.append(f"Concepts that have heads here: {', '.join(job.scores.concept_names(concept_map)) or 'none'}.")
    unmapped = job.scores.unmapped_labels(concept_map)
    if unmapped:
        warnings.append(f"Labels of high heads that stand for no concept of the map: {', '.join(unmapped)}.")
    return warnings


def _judges(scorers: Scorers, scores: Scores) -> dict[str, Any] | None:
    """How several judges voted on the scored heads, and how far they agree."""
    panel = scorers.judge
    if not isinstance(panel, Panel):
        return None
    asked = {Question(text, item.label) for item in scores.heads if item.label is not None for text in item.descriptions}
    between = between_judges([opinion for opinion in opinions_of(panel) if opinion.question in asked])
    if between is None:
        return None
    return {"rule": panel.rule, "tie": panel.tie, "ties": len(panel.tied & asked)} | between.as_json()


def _warnings(job: Finished) -> list[str]:
    warnings = []
    if job.model is not None and job.model.origin.random:
        warnings.append(f"The model has {job.model.origin.description}: its scores and accuracies mean nothing.")
    if job.scores.model and job.scores.model != job.name:
        warnings.append(f"The scores are of {job.scores.model}, the model evaluated is {job.name}.")
    warnings += job.pool.notes if job.pool else ()
    warnings += job.probe.source.notes if job.probe else ()
    warnings += empty_conditions(job.conditions)
    if any(condition.name.startswith("concept/") for condition in job.conditions):
        warnings += _concept_warnings(job)
    unscored = [str(score.head) for score in job.scores.heads if score.ccs_class is None]
    if unscored:
        warnings.append(
            f"{job.scores.unjudged} descriptions are unjudged, so {len(unscored)} heads have no CCS: {', '.join(unscored)}."
        )
    if job.scorers:
        warnings += job.scorers.session.warnings()
    if job.probe is not None and job.probe.skipped:
        warnings.append(f"{len(job.probe.skipped)} images of the probe could not be decoded and were skipped.")
    return [*warnings, *(job.evaluation.warnings if job.evaluation else [])]
