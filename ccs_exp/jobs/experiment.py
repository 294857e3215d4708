"""The whole experiment, from top to bottom: load, score, prune, evaluate, report, track."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ccs_exp.clip.model import ClipModel
from ccs_exp.heads import Condition, check_heads
from ccs_exp.jobs import assemble, keys, plan
from ccs_exp.jobs.resume import refuse_own_input
from ccs_exp.jobs.rows import accuracy_rows
from ccs_exp.jobs.score_stage import given_scores, rescore, score_heads, write_scores
from ccs_exp.jobs.summary import Finished, summarise
from ccs_exp.journal.log import stage
from ccs_exp.llm.reply_files import jsonl
from ccs_exp.pruning.conditions import check_given, conditions
from ccs_exp.pruning.context import PruningContext
from ccs_exp.report import print_summary, write_report
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.judge_files import write_replies
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.describe import describe_heads
from ccs_exp.store import Stages
from ccs_exp.tasks.kept import evaluate_kept


@dataclass(frozen=True)
class Job:
    """Where a job writes, which keys its command line named, and the sweep it belongs to."""

    run_dir: str
    asked: frozenset[str] = frozenset()
    sweep: str | None = None


def run(cfg: DictConfig, job: Job) -> None:
    """Run one job and leave a complete run folder. Raises `CcsError` for what the user can mend."""
    strategies, tracker = assemble.build_strategies(cfg.prune), assemble.build(cfg.tracker)
    scorers = assemble.build_scorers(cfg)
    evaluates = cfg.dataset.name != "none" and (cfg.spans.name != "file" or "dataset" in job.asked)
    if cfg.plan:
        return plan.show(plan.plan(cfg, scorers, evaluates))
    refuse_own_input(cfg, job.run_dir)
    if cfg.ccs.name == "computed":
        scorers.check_ready()
    stages, compute = Stages(), assemble.build_compute(cfg)
    given = given_scores(cfg, scorers, stages)
    folder = RunFolder(job.run_dir)
    folder.prepare()

    # load
    source = assemble.build(cfg.dataset.source) if evaluates else None  # first: a wrong local copy is known at once
    model = assemble.build_model(cfg) if evaluates or given is None else None
    name = model.name if model else _name_without_model(cfg, job, given)
    if model:
        check_given(strategies, model.layers, model.heads_per_layer, name)

    # score
    plan.show(plan.encoding_lines(cfg, evaluates))
    pool, probe, scores = None, None, given
    if given is None:
        pool = assemble.build_pool(cfg.pool)
        probe = assemble.image_data(cfg, cfg.probe, assemble.build(cfg.probe.source), model)
        moments = keys.moments_key(cfg, _weights(cfg, model), compute.device_type)
        stage_keys = moments, keys.descriptions_key(moments, cfg.textspan, pool.sha256)
        spans = describe_heads(model, probe, pool, compute, cfg.textspan, stage_keys, stages)
        scores = score_heads(cfg, spans, scorers, stages)
    if model:
        check_heads((item.head for item in scores.heads), model.layers, model.heads_per_layer, name)
    folder.clear()
    write_scores(folder, name, scores, scorers)
    rescored = rescore(cfg, scores, scorers, folder)

    # prune and evaluate
    chosen: tuple[Condition, ...] = ()
    evaluation = None
    if evaluates:
        context = PruningContext(scores, model.layers, model.heads_per_layer, name)
        chosen = conditions(strategies, context, cfg.prune.match_seeds if cfg.prune.match_count else None)
        key = keys.evaluation_key(cfg, _weights(cfg, model), compute.device_type)
        evaluation = evaluate_kept(chosen, key, lambda missing: assemble.evaluate(cfg, source, model, missing, compute), stages)
        folder.write_accuracy(accuracy_rows(name, cfg.dataset.name, chosen, evaluation))
        folder.write_predictions(evaluation.predictions)

    # report and track
    if scorers.session.used:
        write_replies(folder.path, jsonl(scorers.session.used.values()))
    config = OmegaConf.to_container(cfg, resolve=True)
    dataset = cfg.dataset.name if evaluates else None
    finished = Finished(
        *(name, dataset, config, model, scores, pool, probe, chosen, evaluation, rescored, scorers, stages),
        device=compute.device_type,
    )
    folder.write_summary(summarise(finished))
    try:
        write_report(folder.path)
    except BaseException:
        folder.withdraw_summary()
        raise
    tags = [name, dataset or "scores"]
    with stage("track"):
        tracker.track(folder.path, config=config, name="-".join(tags), group=job.sweep, tags=tags)
    print_summary(folder.path, alone=job.sweep is None)


def _weights(cfg: DictConfig, model: ClipModel) -> str:
    return model.origin.sha256 or keys.random_weights(cfg)


def _name_without_model(cfg: DictConfig, job: Job, scores: Scores) -> str:
    """The model that the scores are of, that the command line names, or that the file of descriptions is named after."""
    if scores.model:
        return scores.model
    if cfg.spans.name == "file" and "model" not in job.asked:
        return Path(cfg.spans.path).stem
    return cfg.model.variant or f"{cfg.model.name}/{cfg.model.pretrained}"
