"""The middle of a job: descriptions become scores, and what the judges said is written down."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omegaconf import DictConfig

from ccs_exp.jobs import keys, plan
from ccs_exp.jobs.assemble import build_pool
from ccs_exp.jobs.csv_rows import ccs_at_k_rows, head_rows, judge_rows, rescored_rows, verdict_rows
from ccs_exp.jobs.decisive import shuffled_draws
from ccs_exp.jobs.load_stage import Loaded
from ccs_exp.journal.log import note, stage
from ccs_exp.llm.session import AsksModels
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.ccs import Scores, pack_scores, score, unpack_scores
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.scoring.describe import describe_heads, spans_as_json
from ccs_exp.scoring.judges.opinion import HasOpinions, opinions_of
from ccs_exp.scoring.pool import Pool
from ccs_exp.scoring.published import published_scores, scores_from_csv
from ccs_exp.scoring.robustness import Rescored, relabel, shuffled_labels
from ccs_exp.scoring.scorers import Scorers
from ccs_exp.scoring.spans import HeadSpans, read_spans
from ccs_exp.store import Stages, kept


@dataclass(frozen=True)
class Scored:
    """Scores, and the pool that their descriptions were picked from, if they were."""

    scores: Scores
    pool: Pool | None = None


def given_scores(cfg: DictConfig, scorers: Scorers, stages: Stages) -> Scores | None:
    """Scores that need no model: published, of an earlier run, or of given descriptions. None: they are to be computed."""
    if cfg.ccs.name == "published":
        return published_scores(cfg.model.variant)
    if cfg.ccs.name == "file":
        return scores_from_csv(cfg.ccs.path, scorers.thresholds)
    return score_heads(cfg, read_spans(cfg.spans.path), scorers, stages) if cfg.spans.name == "file" else None


def describe_and_score(loaded: Loaded, evaluates: bool, scorers: Scorers) -> Scored:
    """The probe decomposed, five descriptions picked for each head, labelled and judged; what is kept of that is not done again."""
    cfg, passed = loaded.cfg, loaded.probe_pass()
    if passed.key is not None:  # else what is gathered beside the moments would be lost
        passed = replace(passed, sums=evaluates and cfg.ablation in ("mean", "direct"), images=cfg.atlas)
    return described_and_scored(cfg, passed, scorers)


def described_and_scored(cfg: DictConfig, passed: ProbePass, scorers: Scorers) -> Scored:
    """The same of any images."""
    pool = build_pool(cfg.pool)
    key = None if passed.key is None else keys.descriptions_key(passed.key, cfg.textspan, pool.sha256)
    return Scored(score_heads(cfg, describe_heads(passed, pool, cfg.textspan, key), scorers, passed.stages), pool)


@stage("score")
def score_heads(cfg: DictConfig, heads: tuple[HeadSpans, ...], scorers: Scorers, stages: Stages) -> Scores:
    """Label and judge, once what that costs was said.

    Scores are kept where labeler and judge say no more than labels and verdicts. What language models say is kept reply by reply.
    """
    keeps = not any(isinstance(part, AsksModels | HasOpinions) for part in (scorers.labeler, scorers.judge))

    def compute() -> Scores:
        plan.show(plan.forecast_lines(scorers.forecast(heads), scorers.session.ledger.limit))
        scores = score(heads, scorers.labeler, scorers.judge, scorers.thresholds)
        if scorers.session.sent:
            plan.show([plan.PlanLine("asked", scorers.session.line())])
        _note_requests(scorers)
        return scores

    key = keys.scores_key(cfg, spans_as_json(heads)) if keeps else None
    return kept("scores", key, compute, pack_scores, unpack_scores, stages)


def write_scores(folder: RunFolder, model: str, scores: Scores, scorers: Scorers) -> None:
    """The files of the scores, and what the judges have to say beyond their verdicts, where they have."""
    folder.write("heads.csv", head_rows(model, scores))
    at_k = ccs_at_k_rows(scores)
    if at_k is not None:
        folder.write("ccs_at_k.csv", at_k)
    opinions = tuple(opinions_of(scorers.judge))
    if opinions:
        folder.write("verdicts.csv", verdict_rows(scores, opinions))
        folder.write("judges.csv", judge_rows(scores, opinions))


@stage("rescore")
def rescore(cfg: DictConfig, scores: Scores, scorers: Scorers, folder: RunFolder) -> tuple[Rescored, ...]:
    """The heads judged once more under other labels, where that is asked for or costs nothing; what it takes at most is said before."""
    asked, rescored = cfg.robustness, []
    plan.show(plan.robustness_lines(len(scores.heads), asked))
    if asked.relabel_draws:
        rescored += relabel(scores, scorers.labeler, scorers.judge, scorers.thresholds, asked.relabel_draws, asked.seed)
    if draws := shuffled_draws(cfg):
        rescored += shuffled_labels(scores, scorers.judge, scorers.thresholds, draws, asked.seed)
    if rescored:
        folder.write("robustness.csv", rescored_rows(rescored))
        _note_requests(scorers)
    return tuple(rescored)


def _note_requests(scorers: Scorers) -> None:
    """What language models were asked for by the job so far."""
    session = scorers.session
    note(requests_sent=session.sent, replies_kept=session.kept, unanswered=sum(session.unanswered.values()))
    note(cost_usd=round(session.ledger.spent, 6))
