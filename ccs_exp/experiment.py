"""The whole experiment, from top to bottom: load, score, prune, evaluate, report, track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ccs_exp import assemble, plan
from ccs_exp.errors import CcsError
from ccs_exp.heads import check_heads
from ccs_exp.pruning import Condition, PruningContext, check_given, conditions
from ccs_exp.report import print_summary, write_report
from ccs_exp.results import RunFolder
from ccs_exp.rows import accuracy_rows, ccs_at_k_rows, head_rows, judge_rows, verdict_rows
from ccs_exp.scoring.ccs import Scores, score
from ccs_exp.scoring.describe import describe_heads
from ccs_exp.scoring.llm.reply_files import jsonl
from ccs_exp.scoring.opinion import opinions_of
from ccs_exp.scoring.published import published_scores, scores_from_csv
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.spans import HeadSpans, read_spans
from ccs_exp.summary import Finished, summarise
from ccs_exp.tasks.classification import classify
from ccs_exp.verdict_files import write_replies, write_verdicts


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
    if cfg.plan:
        return plan.show(plan.plan(cfg, scorers))
    _refuse_own_input(cfg, job.run_dir)
    if cfg.ccs.name == "computed":
        scorers.check_ready()
    given = _given_scores(cfg, scorers)
    evaluates = cfg.dataset.name != "none" and (cfg.spans.name != "file" or "dataset" in job.asked)
    folder = RunFolder(job.run_dir)
    folder.prepare()

    # load
    model = assemble.build_model(cfg) if evaluates or given is None else None
    name = model.name if model else _name_without_model(cfg, job, given)
    images = assemble.build(cfg.dataset.source) if evaluates else None
    if model:
        check_given(strategies, model.layers, model.heads_per_layer, name)

    # score
    compute = assemble.build_compute(cfg)
    pool, probe = None, None
    if given is None:
        pool = assemble.build_pool(cfg.pool)
        probe = assemble.image_data(cfg, assemble.build(cfg.probe.source), model)
    scores = given or _score(describe_heads(model, probe, pool, compute, cfg.textspan), scorers)
    if model:
        check_heads((item.head for item in scores.heads), model.layers, model.heads_per_layer, name)
    folder.clear()
    folder.write_heads(head_rows(name, scores))
    folder.write_ccs_at_k(ccs_at_k_rows(scores))
    _write_verdicts(folder, scores, scorers)

    # prune and evaluate
    chosen: tuple[Condition, ...] = ()
    evaluation = None
    if evaluates:
        context = PruningContext(scores, model.layers, model.heads_per_layer, name)
        chosen = conditions(strategies, context, cfg.prune.match_seeds if cfg.prune.match_count else None)
        data = assemble.image_data(cfg, images, model, cfg.dataset.limit)
        evaluation = classify(model, data, cfg.dataset.templates, chosen, assemble.build_engine(cfg), compute)
        folder.write_accuracy(accuracy_rows(name, cfg.dataset.name, chosen, evaluation))
        folder.write_predictions(evaluation.predictions)

    # report and track
    if scorers.session.used:
        write_replies(folder.path, jsonl(scorers.session.used.values()))
    config = OmegaConf.to_container(cfg, resolve=True)
    dataset = cfg.dataset.name if evaluates else None
    folder.write_summary(summarise(Finished(name, dataset, config, model, scores, pool, probe, chosen, evaluation, scorers)))
    try:
        write_report(folder.path)
    except BaseException:
        folder.withdraw_summary()
        raise
    tags = [name, dataset or "scores"]
    tracker.track(folder.path, config=config, name="-".join(tags), group=job.sweep, tags=tags)
    print_summary(folder.path)


def _score(heads: Sequence[HeadSpans], scorers: Scorers) -> Scores:
    """Label and judge, once what that costs was said."""
    plan.announce(scorers, heads)
    scores = score(heads, scorers.labeler, scorers.judge, scorers.thresholds)
    if scorers.session.sent:
        plan.show([plan.PlanLine("asked", scorers.session.line())])
    return scores


def _write_verdicts(folder: RunFolder, scores: Scores, scorers: Scorers) -> None:
    """What the judges have to say beyond their verdicts, where they have."""
    opinions = tuple(opinions_of(scorers.judge))
    if opinions:
        write_verdicts(folder.path, verdict_rows(scores, opinions), judge_rows(scores, opinions))


def _given_scores(cfg: DictConfig, scorers: Scorers) -> Scores | None:
    """Scores that need no model: published, of an earlier run, or of given descriptions. None: they are to be computed."""
    if cfg.ccs.name == "published":
        return published_scores(cfg.model.variant)
    if cfg.ccs.name == "file":
        return scores_from_csv(cfg.ccs.path, scorers.thresholds)
    return _score(read_spans(cfg.spans.path), scorers) if cfg.spans.name == "file" else None


def _refuse_own_input(cfg: DictConfig, run_dir: str) -> None:
    """A run folder is emptied when its run starts, so nothing in it can be read from."""
    for key in ("ccs.path", "spans.path", "pool.path", "judge.replies", "labeler.replies"):
        path = OmegaConf.select(cfg, key)
        if path and Path(run_dir).resolve() in (Path(path).expanduser().resolve(), *Path(path).expanduser().resolve().parents):
            raise CcsError(
                f"{key}={path} lies in the run folder {run_dir}, which this run would overwrite. Choose another hydra.run.dir."
            )


def _name_without_model(cfg: DictConfig, job: Job, scores: Scores) -> str:
    """The model that the scores are of, that the command line names, or that the file of descriptions is named after."""
    if scores.model:
        return scores.model
    if cfg.spans.name == "file" and "model" not in job.asked:
        return Path(cfg.spans.path).stem
    return cfg.model.variant or f"{cfg.model.name}/{cfg.model.pretrained}"
