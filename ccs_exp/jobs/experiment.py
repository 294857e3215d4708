"""The whole experiment, from top to bottom: load, score, prune, evaluate, report, track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig

from ccs_exp.evidence.effects_of_conditions import Effects
from ccs_exp.heads import Condition, check_heads
from ccs_exp.jobs import assemble, keys, plan
from ccs_exp.jobs.ablation import build_engine
from ccs_exp.jobs.atlas_stage import check_atlas, write_atlas
from ccs_exp.jobs.csv_rows import accuracy_rows
from ccs_exp.jobs.encode import build_compute
from ccs_exp.jobs.evaluate_stage import evaluate
from ccs_exp.jobs.evidence_stage import find_evidence
from ccs_exp.jobs.fetching import needs, said
from ccs_exp.jobs.intruder_stage import intruder_lines
from ccs_exp.jobs.load_stage import Loaded, load
from ccs_exp.jobs.plan_passes import layer_passes_of, pass_lines
from ccs_exp.jobs.resume import refuse_own_input
from ccs_exp.jobs.score_stage import Scored, describe_and_score, given_scores, rescore, write_scores
from ccs_exp.jobs.summary_json import Finished, summarise
from ccs_exp.journal.log import stage
from ccs_exp.llm.reply_files import jsonl
from ccs_exp.pruning.conditions import check_given, conditions
from ccs_exp.pruning.context import PruningContext, Strategy
from ccs_exp.pruning.designs import Curve
from ccs_exp.pruning.strategies import EachHead
from ccs_exp.report import show_run, write_report
from ccs_exp.report.beside import Beside
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.ccs import Scores
from ccs_exp.store import Stages
from ccs_exp.tasks.evaluation import Evaluation
from ccs_exp.tasks.kept import evaluate_kept

if TYPE_CHECKING:
    from ccs_exp.report.contents import Contents


@dataclass(frozen=True)
class Job:
    """Where a job writes, which keys its command line named, the sweep it belongs to, and its choices that others of it do not share."""

    run_dir: str
    asked: frozenset[str] = frozenset()
    sweep: str | None = None
    varied: tuple[str, ...] = ()


def run(cfg: DictConfig, job: Job) -> None:
    """Run one job and leave a complete run folder. Raises `CcsError` for what the user can mend."""
    strategies, tracker = assemble.build_strategies(cfg.prune), assemble.build(cfg.tracker)
    scorers, stages = assemble.build_scorers(cfg), Stages()
    evaluates = cfg.dataset.name != "none" and (cfg.spans.name != "file" or "dataset" in job.asked)
    if cfg.plan:
        lines = plan.plan(cfg, scorers, evaluates) + pass_lines(cfg, evaluates)
        if cfg.evidence.intruder:
            lines += intruder_lines(scorers, plan.heads_to_score(cfg)[0], cfg.evidence.seed)
        return plan.show(lines)
    refuse_own_input(cfg, job.run_dir)
    if cfg.ccs.name == "computed":
        scorers.check_ready()
    compute, given = build_compute(cfg), given_scores(cfg, scorers, stages)
    folder = RunFolder(job.run_dir)
    folder.prepare()

    plan.show([plan.PlanLine("fetch", text) for text in said(needs(cfg, describes=given is None, evaluates=evaluates))])
    loaded = load(cfg, compute, stages, job.asked, evaluates, given)
    check_atlas(cfg.atlas and "atlas" in job.asked, loaded.model)
    if loaded.model:
        check_given(strategies, loaded.model.layers, loaded.model.heads_per_layer, loaded.name)
    plan.show(plan.encoding_lines(cfg, evaluates))

    scored = Scored(given) if given else describe_and_score(loaded, evaluates, scorers)
    if loaded.model:
        check_heads((item.head for item in scored.scores.heads), loaded.model.layers, loaded.model.heads_per_layer, loaded.name)
    folder.clear()
    write_scores(folder, loaded.name, scored.scores, scorers)
    rescored = rescore(cfg, scored.scores, scorers, folder)

    chosen = prune(loaded, strategies, scored.scores) if evaluates else ()
    evaluation = evaluate_all(loaded, chosen) if evaluates else None
    if evaluation:
        folder.write("accuracy.csv", accuracy_rows(loaded.name, cfg.dataset.name, chosen, evaluation))
        folder.write_predictions(evaluation.predictions)
        give_back()
    finished = Finished(loaded, scored, rescored, chosen, evaluation, scorers, sweep=job.sweep, varied=job.varied)
    more = bool(cfg.atlas or cfg.evidence.reading)  # without, there is too little to compute meanwhile
    with Beside(folder.path, lambda: summarise(finished), wanted=more and torch.get_num_threads() > 1) as beside:
        beside.conditions()
        evidence = find_evidence(loaded, scored, evaluation, scorers)
        for file, table in evidence.tables.items():
            folder.write(file, table.rows, table.columns)
        beside.heads()
        atlas = write_atlas(loaded, folder)
        if evaluation:
            give_back()
        contents = report(folder, replace(finished, evidence=evidence.summary, atlas=atlas), beside)
    with stage("track"):
        tracker.track(folder.path)
    show_run(contents, alone=job.sweep is None)


def prune(loaded: Loaded, strategies: Sequence[Strategy], scores: Scores) -> tuple[Condition, ...]:
    """The job's conditions, the original first. Where a strategy goes by what each head alone costs, that is measured before."""
    cfg = loaded.cfg
    context = PruningContext(scores, loaded.encoder.layers, loaded.encoder.heads_per_layer, loaded.name)
    if any(isinstance(strategy, Curve) and strategy.asks_costs for strategy in strategies):
        alone = conditions([EachHead()], context)
        effects = Effects(evaluate_all(loaded, alone), cfg.dataset.name, cfg.evidence.seed)
        effects = replace(effects, half=True) if cfg.evidence.split else effects
        costs = zip(context.scored, effects.mean_standardised(alone[1:]).tolist(), strict=True)
        context = replace(context, costs=dict(costs))
    return conditions(strategies, context, cfg.prune.match_seeds if cfg.prune.match_count else None)


def evaluate_all(loaded: Loaded, chosen: Sequence[Condition]) -> Evaluation:
    """The data set under all conditions: from the store those that were evaluated before, the others in one pass."""
    cfg, compute = loaded.cfg, loaded.compute
    passed = loaded.probe_pass(keys.probe_key) if cfg.ablation != "zero" else None

    def evaluate_missing(missing: Sequence[Condition]) -> Evaluation:
        engine = build_engine(cfg, loaded.encoder, missing, passed)
        plan.show([plan.PlanLine("evaluate", layer_passes_of(engine, loaded.encoder.layers, missing))])
        return evaluate(cfg, loaded.data, loaded.encoder, missing, compute, engine)

    if not loaded.weights:
        return evaluate_missing(chosen)
    return evaluate_kept(chosen, keys.evaluation_key(cfg, loaded.weights, compute.device_type), evaluate_missing, loaded.stages)


def give_back() -> None:
    """Memory that passes and tables have freed goes back to the system, before the next stage takes its own beside it."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()  # where the pool is the system's, of the whole process


def report(folder: RunFolder, finished: Finished, beside: Beside) -> Contents:
    """The summary, and from the folder as it then is the figures and the page: where a summary stands, a job has finished."""
    if finished.scorers.session.used:
        folder.write_replies(jsonl(finished.scorers.session.used.values()))
    folder.write_summary(summarise(finished))
    try:
        return write_report(folder.path, beside)
    except BaseException:
        folder.withdraw_summary()
        raise
