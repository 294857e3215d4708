"""What the paper's experiments compute, by count of operations: `python benchmarks/reproduction_cost.py [TERAFLOPS]`, nothing is run.

A multiplication and its addition are two operations. Hours are those of a GPU that sustains so many teraflops (by default 50, what an
H100 gives in single precision at best); decoding and the text encoder are not in them. Strategies, sets of heads and the work that
conditions share are the jobs' own; head sets are the authors', also where a job would compute them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ccs_exp.clip import operations
from ccs_exp.clip.architecture import EncoderShape, encoder_shape
from ccs_exp.config.place import config_dir
from ccs_exp.config.schema import configure
from ccs_exp.files import read_yaml
from ccs_exp.jobs.assemble import build_strategies
from ccs_exp.pruning.conditions import conditions
from ccs_exp.pruning.context import PruningContext
from ccs_exp.report.reproduction.paper import load_paper
from ccs_exp.scoring.published import published_scores

EXPERIMENTS = ("table4", "table5", "table6", "figure2", "figure3", "figure4", "figure5", "pipeline", "claims", "claims_equal")
PROBE = 5000  # images of ImageNet's validation set


def cost(name: str, models: dict[str, EncoderShape], folder: Path) -> tuple[int, int, float, float]:
    """Jobs, images (frames) and operations of an experiment: with shared work, and as one full pass for each condition."""
    datasets = read_yaml(Path(config_dir(), "experiment", f"{name}.yaml"))["hydra"]["sweeper"]["params"]["dataset"].split(",")
    images, shared, plain = 0, 0.0, 0.0
    for variant, model in models.items():
        cfg = configure(f"+experiment={name}", f"model={variant}", f"dataset={datasets[0]}", f"data_dir={folder}")
        context = PruningContext(published_scores(variant), model.layers, model.heads_per_layer, variant)
        chosen = conditions(build_strategies(cfg.prune), context, cfg.prune.match_seeds if cfg.prune.match_count else None)
        masks = list(dict.fromkeys(condition.heads for condition in chosen))
        frames = {"msrvtt": 12, "msvd": 12, "didemo": 32}
        count = sum(load_paper().samples[dataset] * frames.get(dataset, 1) for dataset in datasets)
        images += count
        shared += 2 * count * operations.shared(model, masks)
        plain += 2 * count * operations.full_pass(model) * len(masks)
    return len(models) * len(datasets), images, shared, plain


def main() -> None:
    teraflops = float(sys.argv[1]) if len(sys.argv) > 1 else 50.0
    models = {}
    for variant in load_paper().models:
        shape = encoder_shape(configure(f"model={variant}").model.name)
        assert shape is not None  # open_clip knows them
        models[variant] = shape
    hours = f"hours at {teraflops:g} TFLOP/s"
    table = Table("experiment", "jobs", "images and frames", "operations", hours, "hours, a pass for each condition")
    with tempfile.TemporaryDirectory() as folder:
        for dataset in load_paper().groups["video"]:
            Path(folder, dataset).mkdir()
        for name in EXPERIMENTS:
            jobs, images, shared, plain = cost(name, models, Path(folder))
            times = (f"{operations / (teraflops * 3.6e15):.2f}" for operations in (shared, plain))
            table.add_row(name, str(jobs), f"{images:,}", f"{shared:.1e}", *times)
    probe = 2 * PROBE * sum(map(operations.full_pass, models.values()))
    table.add_row("scores (probe)", str(len(models)), f"{PROBE * len(models):,}", f"{probe:.1e}", f"{probe / (teraflops * 3.6e15):.2f}", "")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
