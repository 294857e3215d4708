"""A realistic run folder, made without any model."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from ccs_exp.run_folder.folder import RunFolder

CONCEPTS = {
    "colors": ["red things", "something crimson", "a blue square", "teal", "a green shape", "an orange background"],
    "places": ["an object at the top left", "something low in the picture", "centred", "at the right edge", "the upper half"],
    "numbers": ["three of them", "a pair", "a single object", "four shapes", "many objects"],
}


CHOICES = {  # as a run with the defaults of a real model has them in its summary
    "spans": "computed", "ccs": "computed", "labeler": "taxonomy", "judge": "taxonomy", "judge_model": None, "thresholds": [5, 1],
    "probe": "imagenet_val", "pool": "taxonomy", "textspan": "direct", "match_count": None, "random_layers": "scored",
    "protocol": "standard", "limit": None,
}  # fmt: skip


def _verdict(text: str, label: str) -> str:
    return "aligned" if text in CONCEPTS.get(label, ()) else "not_aligned"


def head_rows(layers: int = 4, heads: int = 16, model: str = "tiny", unjudged: tuple[str, ...] = ()) -> list[dict]:
    generator = np.random.default_rng(0)
    every = [text for texts in CONCEPTS.values() for text in texts]
    rows = []
    for layer in range(8, 8 + layers):
        for index in range(heads):
            name, label = f"L{layer}.H{index}", list(CONCEPTS)[index % 3]
            known = int(generator.integers(0, 6))
            others = [text for text in every if text not in CONCEPTS[label]]
            texts = CONCEPTS[label][:known] + others[: 5 - known]
            verdicts = [_verdict(text, label) for text in texts]
            if name in unjudged:
                verdicts[-1] = "unjudged"
            ccs = None if name in unjudged else verdicts.count("aligned")
            ccs_class = None if ccs is None else "high" if ccs == 5 else "low" if ccs <= 1 else "moderate"
            rows.append(
                {"model": model, "layer": layer, "head": name, "label": label, "ccs": ccs, "ccs_class": ccs_class}
                | {f"description_{number}": text for number, text in enumerate(texts, 1)}
                | {f"verdict_{number}": verdict for number, verdict in enumerate(verdicts, 1)}
                | {"explained_variance": float(generator.uniform(0.3, 0.95))}
            )
    return rows


def write_run(
    path: Path,
    rows: list[dict] | None = None,
    conditions: dict[str, tuple[int, float]] | None = None,
    samples: int = 500,
    dataset: str | None = "scenes_shape",
    **summary,
) -> RunFolder:
    """Write a whole run. `conditions`: ``{name: (heads pruned, probability of a correct answer)}``."""
    rows = head_rows() if rows is None else rows
    if conditions is None:
        conditions = {"original": (0, 0.86), "high_ccs": (9, 0.61), "low_ccs": (19, 0.85)}
        conditions |= {f"random/{seed}": (9, 0.80 + 0.01 * seed) for seed in range(3)}
    folder = RunFolder(path)
    folder.clear()
    folder.write_heads(rows)
    judged = [row["ccs"] for row in rows if row["ccs"] is not None and row["verdict_1"]]
    at_k = {k: judged.count(k) / len(judged) for k in range(6)} if judged else None
    folder.write_ccs_at_k(at_k and [{"k": k, "fraction": fraction} for k, fraction in at_k.items()])
    accuracy = None
    if dataset is not None:
        accuracy = _write_evaluation(folder, rows[0]["model"], dataset, conditions, samples)
    draws = [value for name, value in (accuracy or {}).items() if name.startswith("random/")]
    sd = statistics.stdev(draws) if len(draws) > 1 else None
    folder.write_summary(
        {
            "model": rows[0]["model"],
            "dataset": dataset,
            "config_hash": "0123456789abcdef",
            "ccs_at_k": at_k and {str(k): fraction for k, fraction in at_k.items()},
            "accuracy": accuracy,
            "delta": accuracy and {name: value - accuracy["original"] for name, value in accuracy.items()},
            "random": {"mean": statistics.fmean(draws), "sd": sd, "seeds": list(range(len(draws)))} if draws else None,
            "skipped": [],
            "unjudged": sum(row[f"verdict_{number}"] == "unjudged" for row in rows for number in range(1, 6)),
            "from_store": [],
            "warnings": [],
            "num_samples": samples if dataset else None,
            "tagged_share": 0.953,
        }
        | summary
    )
    return folder


def _write_evaluation(folder: RunFolder, model: str, dataset: str, conditions: dict, samples: int) -> dict[str, float]:
    generator = np.random.default_rng(1)
    targets = generator.integers(0, 10, samples)
    rows, predictions, accuracy, base = [], [], {}, {}
    for name, (pruned, chance) in conditions.items():
        correct = generator.random(samples) < chance
        accuracy[name] = float(correct.mean())
        values = {"top1": accuracy[name], "top5": min(1.0, accuracy[name] + 0.12), "mean_per_class": accuracy[name] - 0.004}
        base = base or values
        rows += [
            {"model": model, "dataset": dataset, "task": dataset, "condition": name, "num_pruned": pruned}
            | {"metric": metric, "value": value, "delta": value - base[metric]}
            for metric, value in values.items()
        ]
        predictions += [
            {"sample_id": f"{dataset}/{number:05d}", "task": dataset, "condition": name, "target": int(target)}
            | {"prediction": int(target if hit else (target + 1) % 10), "correct": bool(hit)}
            | {"margin": 1.0 if hit else -1.0, "log_probability": -0.1 if hit else -2.0}
            for number, (target, hit) in enumerate(zip(targets, correct, strict=True))
        ]
    folder.write_accuracy(rows)
    folder.write_predictions(predictions)
    return accuracy
