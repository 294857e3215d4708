"""The whole experiment, from top to bottom: load, score, prune, evaluate, report, track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from ccs_exp.config.plain import plain
from ccs_exp.heads import Condition, check_heads
from ccs_exp.jobs import assemble, keys, plan
from ccs_exp.jobs.csv_rows import accuracy_rows
from ccs_exp.jobs.encode import build_compute
from ccs_exp.jobs.evaluate_stage import evaluate
from ccs_exp.jobs.load_stage import Loaded, load
from ccs_exp.jobs.resume import refuse_own_input
from ccs_exp.jobs.score_stage import Scored, describe_and_score, given_scores, rescore, write_scores
from ccs_exp.jobs.summary_json import Finished, summarise
from ccs_exp.journal.log import stage
from ccs_exp.llm.reply_files import jsonl
from ccs_exp.pruning.conditions import check_given, conditions
from ccs_exp.pruning.context import PruningContext, Strategy
from ccs_exp.report import print_summary, write_report
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.judge_files import write_replies
from ccs_exp.scoring.ccs import Scores
from ccs_exp.store import Stages
from ccs_exp.tasks.kept import evaluate_kept
from ccs_exp.tracking.tracker import Tracker


@dataclass(frozen=True)
class Job:
    """Where a job writes, which keys its command line named, and the sweep it belongs to."""

    run_dir: str
    asked: frozenset[str] = frozenset()
    sweep: str | None = None


def run(cfg: DictConfig, job: Job) -> None:
    """Run one job and leave a complete run folder. Raises `CcsError` for what the user can mend."""
    strategies, tracker = assemble.build_strategies(cfg.prune), assemble.build(cfg.tracker)
    scorers, compute, stages = assemble.build_scorers(cfg), build_compute(cfg), Stages()
    evaluates = cfg.dataset.name != "none" and (cfg.spans.name != "file" or "dataset" in job.asked)
    if cfg.plan:
        return plan.show(plan.plan(cfg, scorers, evaluates))
    refuse_own_input(cfg, job.run_dir)
    if cfg.ccs.name == "computed":
        scorers.check_ready()
    given = given_scores(cfg, scorers, stages)
    folder = RunFolder(job.run_dir)
    folder.prepare()

    loaded = load(cfg, job.asked, evaluates, given)
    if loaded.model:
        check_given(strategies, loaded.model.layers, loaded.model.heads_per_layer, loaded.name)
    plan.show(plan.encoding_lines(cfg, evaluates))

    scored = Scored(given) if given else describe_and_score(cfg, loaded, scorers, compute, stages)
    if loaded.model:
        check_heads((item.head for item in scored.scores.heads), loaded.model.layers, loaded.model.heads_per_layer, loaded.name)
    folder.clear()
    write_scores(folder, loaded.name, scored.scores, scorers)
    rescored = rescore(cfg, scored.scores, scorers, folder)

    chosen: tuple[Condition, ...] = ()
    evaluation = None
    if evaluates:
        chosen = prune(cfg, strategies, loaded, scored.scores)
        key = keys.evaluation_key(cfg, loaded.weights, compute.device_type)
        evaluation = evaluate_kept(chosen, key, lambda missing: evaluate(cfg, loaded.data, loaded.encoder, missing, compute), stages)
        folder.write_accuracy(accuracy_rows(loaded.name, cfg.dataset.name, chosen, evaluation))
        folder.write_predictions(evaluation.predictions)

    finished = Finished(plain(cfg), loaded, scored, rescored, chosen, evaluation, scorers, stages, compute.device_type)
    report(folder, finished)
    track(tracker, folder, finished, job.sweep)
    print_summary(folder.path)


def prune(cfg: DictConfig, strategies: Sequence[Strategy], loaded: Loaded, scores: Scores) -> tuple[Condition, ...]:
    """The job's conditions, the original first."""
    context = PruningContext(scores, loaded.encoder.layers, loaded.encoder.heads_per_layer, loaded.name)
    return conditions(strategies, context, cfg.prune.match_seeds if cfg.prune.match_count else None)


def report(folder: RunFolder, finished: Finished) -> None:
    """The summary, and from the folder as it then is the figures and the page: where a summary stands, a job has finished."""
    if finished.scorers.session.used:
        write_replies(folder.path, jsonl(finished.scorers.session.used.values()))
    folder.write_summary(summarise(finished))
    try:
        write_report(folder.path)
    except BaseException:
        folder.withdraw_summary()
        raise


@stage("track")
def track(tracker: Tracker, folder: RunFolder, finished: Finished, sweep: str | None) -> None:
    tags = [finished.loaded.name, finished.dataset or "scores"]
    tracker.track(folder.path, config=finished.config, name="-".join(tags), group=sweep, tags=tags)
