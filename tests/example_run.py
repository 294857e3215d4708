"""A realistic run folder, made without any model."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

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


def asked(*strategies: str, **more) -> dict:
    """What a job was asked, as its summary has it."""
    prune = {name: {"_target_": f"ccs_exp.pruning.strategies.{name}"} if name in strategies else {} for name in ("high_ccs", "random")}
    config = {"seed": 0, "prune": prune, "tracker": {"name": "wandb_offline", "project": "ccs_exp", "group": None, "tags": ["mine"]}}
    return {"config": config | more.pop("config", {}), "sweep": None, "varied": []} | more


RAN = {
    "version": "1.0", "commit": "0" * 40, "libraries": {"torch": "2"}, "device": "cpu", "device_name": "A CPU", "threads": 2,
    "started": "2026-01-31T12:00:00+00:00", "seconds": 73.4, "stages": {"load": 1.5, "evaluate": 60.25},
    "images_per_second": {"evaluate": 123.4}, "peak_memory_mib": 512, "gpu_peak_memory_mib": None,
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
    folder.write("heads.csv", rows)
    judged = [row["ccs"] for row in rows if row["ccs"] is not None and row["verdict_1"]]
    at_k = {k: judged.count(k) / len(judged) for k in range(6)} if judged else None
    if at_k:
        folder.write("ccs_at_k.csv", [{"k": k, "fraction": fraction} for k, fraction in at_k.items()])
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
    folder.write("accuracy.csv", rows)
    folder.write_predictions(pyarrow.Table.from_pylist(predictions))
    return accuracy


def write_retrieval(folder: RunFolder, ranks: dict[str, tuple[int, Any]], captions: int = 1, dataset: str = "msrvtt") -> None:
    """An evaluation of retrieval: ``{condition: (heads pruned, the rank of each video)}``, which all its captions and the video have.

    Ranks ``[seeds, videos]`` are those under several seeds of donors.
    """
    metrics = {"t2v_R@1": 1, "t2v_R@5": 5, "v2t_R@1": 1}
    resampled = any(np.ndim(given) == 2 for _, given in ranks.values())
    values: dict[str, dict[str, float]] = {}
    predictions = []
    for name, (_, given) in ranks.items():
        of_seeds = np.atleast_2d(given)
        values[name] = {metric: float(np.mean(of_seeds <= k)) for metric, k in metrics.items()}
        values[name]["t2v_median_rank"] = float(np.median(of_seeds, axis=1).mean())
        for seed, of_videos in enumerate(of_seeds):
            for number, rank in enumerate(of_videos):
                common = {"task": dataset, "condition": name, "rank": float(rank), "margin": 2.0 - rank}
                common |= {"seed": seed} if resampled else {}
                queries = [("t2v", f"v{number:03}#{caption}") for caption in range(captions)] + [("v2t", f"v{number:03}")]
                predictions += [common | {"direction": direction, "query_id": query} for direction, query in queries]
    base = values["original"]
    rows = [
        {"model": "tiny", "dataset": dataset, "task": dataset, "condition": name, "num_pruned": ranks[name][0]}
        | {"metric": metric, "value": value, "delta": value - base[metric]}
        for name, found in values.items()
        for metric, value in found.items()
    ]
    folder.write("accuracy.csv", rows)
    folder.write_predictions(pyarrow.Table.from_pylist(predictions))


def write_tasks(folder: RunFolder, tasks: dict[str, dict[str, tuple[int, list[bool]]]], dataset: str = "scenes") -> None:
    """Several tasks on the same images: ``{task: {condition: (heads pruned, right or wrong for each image)}}``."""
    rows, predictions = [], []
    for task, conditions in tasks.items():
        base = statistics.fmean(conditions["original"][1])
        for name, (pruned, hits) in conditions.items():
            value = statistics.fmean(hits)
            rows.append(
                {"model": "tiny", "dataset": dataset, "task": task, "condition": name, "num_pruned": pruned, "metric": "top1"}
                | {"value": value, "delta": value - base}
            )
            predictions += [
                {"sample_id": f"{number:04}", "task": task, "condition": name, "target": 0, "prediction": int(not hit), "correct": hit}
                | {"margin": 1.0 if hit else -1.0, "log_probability": -1.0}
                for number, hit in enumerate(hits)
            ]
    folder.write("accuracy.csv", rows)
    folder.write_predictions(pyarrow.Table.from_pylist(predictions))
