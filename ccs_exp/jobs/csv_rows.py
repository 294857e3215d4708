"""What stands in the CSV files of a run folder: scores, opinions and evaluations as rows (columns: `ccs_exp.run_folder.columns`)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ccs_exp.heads import ORIGINAL, RANDOM, Condition, Head
from ccs_exp.run_folder.columns import VERDICT_COLUMNS
from ccs_exp.scoring.ccs import Scores
from ccs_exp.scoring.judges.judge import Question, Verdict
from ccs_exp.scoring.judges.opinion import Opinion
from ccs_exp.scoring.robustness import Rescored
from ccs_exp.tasks.evaluation import Evaluation


def head_rows(model: str, scores: Scores) -> list[dict[str, Any]]:
    """One row for each scored head, for ``heads.csv``."""
    return [{"model": model} | row for row in scores.rows()]


def verdict_rows(scores: Scores, opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    """One row for each description and judge, for ``verdicts.csv``; the judges in the order in which they speak."""
    return [
        {"head": str(head), "label": opinion.question.label, "number": number, "description": opinion.question.description}
        | {"judge": opinion.judge, "verdict": str(opinion.verdict), "p_aligned": opinion.p_aligned}
        | {"confidence": opinion.confidence, "model": opinion.model, "fingerprint": opinion.fingerprint}
        | {"reply": opinion.reply, "reason": opinion.reason}
        for head, given in _opinions_of_heads(scores, opinions)
        for number, opinion in enumerate(given, 1)
    ]


def judge_rows(scores: Scores, opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    """One row for each head and judge, for ``judges.csv``: the CCS that this judge alone gives, and the one it expects."""
    rows = []
    for head, given in _opinions_of_heads(scores, opinions):
        verdicts = [opinion.verdict for opinion in given]
        shares = [opinion.p_aligned for opinion in given if opinion.p_aligned is not None]
        ccs = None if Verdict.UNJUDGED in verdicts else verdicts.count(Verdict.ALIGNED)
        expected = sum(shares) if len(shares) == len(given) else None
        rows.append({"head": str(head), "judge": given[0].judge, "ccs": ccs, "expected_ccs": expected})
    return rows


def rescored_rows(rescored: Sequence[Rescored]) -> list[dict[str, Any]]:
    """One row for each head judged once more, for ``robustness.csv``."""
    return [
        {"kind": item.kind, "draw": item.draw, "head": str(item.head), "label": item.label}
        | {"label_of": item.label_of and str(item.label_of), "ccs": item.ccs, "ccs_class": item.ccs_class}
        | {column: str(verdict) for column, verdict in zip(VERDICT_COLUMNS, item.verdicts, strict=True)}
        for item in rescored
    ]


def _opinions_of_heads(scores: Scores, opinions: Sequence[Opinion]) -> Iterator[tuple[Head, list[Opinion]]]:
    """Each labelled head with one judge's opinions on its descriptions, in their order."""
    by_judge: dict[str, dict[Question, Opinion]] = {}
    for opinion in opinions:
        by_judge.setdefault(opinion.judge, {})[opinion.question] = opinion
    for score in scores.heads:
        label = score.label
        for given in by_judge.values() if score.descriptions else ():
            if label is not None:
                yield score.head, [given[Question(text, label)] for text in score.descriptions]


def ccs_at_k_rows(scores: Scores) -> list[dict[str, Any]] | None:
    """``k, fraction`` for K = 0..5, or None where no CCS was judged."""
    fractions = scores.ccs_at_k()
    return None if fractions is None else [{"k": k, "fraction": fraction} for k, fraction in fractions.items()]


def accuracy_rows(model: str, dataset: str, conditions: Sequence[Condition], evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row for each task, condition and metric, with the difference to the original."""
    original = next(condition for condition in conditions if condition.name == ORIGINAL)
    return [
        {
            "model": model,
            "dataset": dataset,
            "task": task,
            "condition": condition.name,
            "num_pruned": len(condition.heads),
            "metric": metric,
            "value": value,
            "delta": value - evaluation.values_of(task, original)[metric],
        }
        for task in evaluation.tasks
        for condition in conditions
        for metric, value in evaluation.values_of(task, condition).items()
    ]


def primary_values(evaluation: Evaluation) -> dict[str, float]:
    """The primary metric of each condition; of several tasks their mean."""
    return {name: values[evaluation.primary] for name, values in evaluation.values.items()}


def random_spread(values: Mapping[str, float]) -> dict | None:
    """Mean and sample standard deviation over the ``random/<seed>`` conditions, if there are any."""
    over_seeds = {name.removeprefix(RANDOM): value for name, value in values.items() if name.startswith(RANDOM)}
    if not over_seeds:
        return None
    numbers = list(over_seeds.values())
    spread = statistics.stdev(numbers) if len(numbers) > 1 else None
    return {"mean": statistics.fmean(numbers), "sd": spread, "seeds": [int(seed) for seed in over_seeds]}
