"""What stands in ``summary.json``: a job's main numbers, what they depend on, and what a reader must be told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, get_args

from ccs_exp.config.plain import plain
from ccs_exp.config.secrets import without_secrets
from ccs_exp.heads import ORIGINAL, Condition
from ccs_exp.jobs.csv_rows import primary_values, random_spread
from ccs_exp.jobs.decisive import decisive_settings
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.jobs.ran import what_ran
from ccs_exp.jobs.score_stage import Scored
from ccs_exp.pruning.conditions import empty_conditions
from ccs_exp.scoring.ccs import CcsClass, Scores
from ccs_exp.scoring.concepts import load_concepts
from ccs_exp.scoring.judges.judge import Question
from ccs_exp.scoring.judges.opinion import opinions_of
from ccs_exp.scoring.judges.panel import Panel, between_judges
from ccs_exp.scoring.robustness import Rescored, summarise_null, summarise_relabel
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.taxonomy import load_taxonomy
from ccs_exp.tasks.evaluation import Evaluation


@dataclass(frozen=True)
class Finished:
    """A finished job, or one that has yet to find evidence; `evaluation` is None where nothing was evaluated."""

    loaded: Loaded
    scored: Scored
    rescored: tuple[Rescored, ...]
    conditions: tuple[Condition, ...]
    evaluation: Evaluation | None
    scorers: Scorers
    evidence: dict[str, Any] = field(default_factory=dict)
    atlas: dict[str, Any] | None = None
    sweep: str | None = None
    varied: tuple[str, ...] = ()

    @cached_property
    def config(self) -> dict[str, Any]:
        return plain(self.loaded.cfg)

    @property
    def dataset(self) -> str | None:
        return self.config["dataset"]["name"] if self.evaluation else None

    @property
    def skipped(self) -> list[str]:
        """What could not be decoded, of the probe and of the data set."""
        probe, evaluation = self.loaded.probe, self.evaluation
        return [*(probe.skipped if probe else []), *(evaluation.skipped if evaluation else [])]


def summarise(job: Finished) -> dict[str, Any]:
    """The content of ``summary.json``."""
    weights = job.loaded.model.origin if job.loaded.model else None
    pool, probe = job.scored.pool, job.loaded.probe
    decoder = job.evaluation.decoder if job.evaluation else None
    return {
        "model": job.loaded.name,
        "dataset": job.dataset,
        "choices": _choices(job.config),
        "config_hash": config_hash(
            job.config,
            weights.sha256 if weights else None,
            pool.sha256 if pool else None,
            decoder,
            job.scorers.session.prompts,
        ),
        "weights": {"origin": weights.description, "sha256": weights.sha256} if weights else None,
        "pool": {"name": pool.name, "sha256": pool.sha256, "descriptions": len(pool.descriptions)} if pool else None,
        "decoder": decoder,
        "probe": {"name": job.config["probe"]["name"], "images": len(probe) - len(probe.skipped), "decoder": probe.source.decoder}
        if probe
        else None,
        **_of_scores(job),
        **_of_evaluation(job.evaluation),
        "evidence": job.evidence or None,
        "atlas": job.atlas,
        "skipped": job.skipped,
        "device": job.loaded.compute.device_type,
        "asked": {"config": without_secrets(job.config), "sweep": job.sweep, "varied": list(job.varied)},
        "ran": what_ran(job.loaded.compute.device_type),
        "from_store": job.loaded.stages.from_store,
        "computed": job.loaded.stages.computed,
        "language_models": job.scorers.session.summary(),
        "judges": _judges(job.scorers, job.scored.scores),
        "warnings": _warnings(job),
    }


def _of_scores(job: Finished) -> dict[str, Any]:
    scores, at_k = job.scored.scores, job.scored.scores.ccs_at_k()
    descriptions = [text for score in scores.heads for text in score.descriptions]
    relabelled, null = summarise_relabel(scores, job.rescored), summarise_null(scores, job.rescored)
    return {
        "ccs_at_k": {str(k): fraction for k, fraction in at_k.items()} if at_k else None,
        "heads_per_class": {name: len(scores.of_class(name)) for name in get_args(CcsClass)},
        "tagged_share": load_taxonomy().tagged_share(descriptions) if descriptions else None,
        "robustness": {"relabel": relabelled, "shuffled_labels": null} if job.rescored else None,
        "unjudged": scores.unjudged,
    }


def _of_evaluation(evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return dict.fromkeys(("metric", "accuracy", "delta", "random", "num_samples", "ties"))
    accuracy = primary_values(evaluation)
    return {
        "metric": evaluation.primary,
        "accuracy": accuracy,
        "delta": {name: value - accuracy[ORIGINAL] for name, value in accuracy.items()},
        "random": random_spread(accuracy),
        "num_samples": evaluation.num_samples,
        "ties": evaluation.tied,
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
    identity: dict[str, Any] = {"config": decisive_settings(config), "weights": weights_sha256, "pool": pool_sha256}
    identity |= {"version": version("ccs_exp")}
    identity |= {"decoder": decoder} if decoder else {}
    identity |= {"prompts": sorted(prompts)} if prompts else {}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen that decides with which other runs this one compares."""
    named = ("spans", "ccs", "labeler", "judge", "probe", "pool")
    choices: dict[str, Any] = {group: config[group]["name"] for group in named}
    return choices | {
        "judge_model": config["judge"].get("model"),
        "thresholds": [config["ccs"]["high"], config["ccs"]["low"]],
        "textspan": config["textspan"],
        "ablation": config["ablation"],
        "match_count": config["prune"]["match_count"],
        "random_layers": config["prune"]["random"].get("layers"),
        "protocol": config.get("protocol", "standard"),
        "limit": config["dataset"]["limit"],
        "frame_order": config["dataset"]["frame_order"],
    }


def _concept_warnings(job: Finished) -> list[str]:
    concept_map, warnings = load_concepts(job.config["prune"]["concept"].get("map")), []
    high = job.scored.scores.of_class("high")
    for condition in job.conditions:
        other = sorted(condition.heads - high) if condition.name.startswith("concept/") else []
        if other:
            named = f"{condition.name.removeprefix('concept/')} of {job.loaded.name} is given with {', '.join(map(str, other))}"
            warnings.append(f"The set of {named}, which is not among the high heads: what it costs is not the cost of high heads.")
    if any(condition.name.startswith("concept/") and not condition.heads for condition in job.conditions):
        warnings.append(f"Concepts that have heads here: {', '.join(job.scored.scores.concept_names(concept_map)) or 'none'}.")
    unmapped = job.scored.scores.unmapped_labels(concept_map)
    if unmapped:
        warnings.append(f"Labels of high heads that stand for no concept of the map: {', '.join(unmapped)}.")
    return warnings


def _one_model_of_two(job: Finished) -> list[str]:
    labeler, judge = (job.config[part].get("model") for part in ("labeler", "judge"))
    if job.config["ccs"]["name"] != "computed" or not labeler or labeler != judge:
        return []
    return [
        f"Labeler and judge are one model, {judge}, as in the paper: it judges labels of its own making, and a CCS may be too high for it."
    ]


def _judges(scorers: Scorers, scores: Scores) -> dict[str, Any] | None:
    """How several judges voted on the scored heads, and how far they agree."""
    panel = scorers.judge
    if not isinstance(panel, Panel):
        return None
    asked = {Question(text, item.label) for item in scores.heads if item.label is not None for text in item.descriptions}
    between = between_judges([opinion for opinion in opinions_of(panel) if opinion.question in asked])
    if between is None:
        return None
    return {"rule": panel.rule, "tie": panel.tie, "ties": len(panel.tied & asked)} | between


def _warnings(job: Finished) -> list[str]:
    warnings = []
    if job.loaded.model is not None and job.loaded.model.origin.random:
        warnings.append(f"The model has {job.loaded.model.origin.description}: its scores and accuracies mean nothing.")
    if job.scored.scores.model and job.scored.scores.model != job.loaded.name:
        warnings.append(f"The scores are of {job.scored.scores.model}, the model evaluated is {job.loaded.name}.")
    warnings += job.scored.pool.notes if job.scored.pool else ()
    warnings += job.loaded.probe.source.notes if job.loaded.probe else ()
    warnings += empty_conditions(job.conditions)
    if any(condition.name.startswith("concept/") for condition in job.conditions):
        warnings += _concept_warnings(job)
    unscored = [str(score.head) for score in job.scored.scores.heads if score.ccs_class is None]
    if unscored:
        warnings.append(
            f"{job.scored.scores.unjudged} descriptions are unjudged, so {len(unscored)} heads have no CCS: {', '.join(unscored)}."
        )
    warnings += _one_model_of_two(job) + job.scorers.session.warnings()
    if job.loaded.probe is not None and job.loaded.probe.skipped:
        warnings.append(f"{len(job.loaded.probe.skipped)} images of the probe could not be decoded and were skipped.")
    return [*warnings, *(job.evaluation.warnings if job.evaluation else [])]
