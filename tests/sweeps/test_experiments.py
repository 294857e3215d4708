"""Every experiment composes with every value of its sweep; one sweep runs."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ccs_exp.config.schema import config_dir, configure
from ccs_exp.jobs.assemble import build_strategies
from ccs_exp.report.command import main
from ccs_exp.report.reproduction.paper import load_paper

EXPERIMENTS = sorted(path.stem for path in Path(config_dir(), "experiment").glob("*.yaml"))
VARIANTS = set(load_paper().models)


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """Where videos lie, which come from nowhere else."""
    for name in ("msrvtt", "msvd", "didemo"):
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.setenv("CCS_EXP_DATA", str(tmp_path / "data"))


def sweep(name: str) -> dict[str, list[str]]:
    content = yaml.safe_load(Path(config_dir(), "experiment", f"{name}.yaml").read_text())
    params = content.get("hydra", {}).get("sweeper", {}).get("params", {})  # causal_map is a job, not a sweep
    return {key: str(values).split(",") for key, values in params.items()}


def test_they_are_those_of_the_paper_and_a_small_one():
    figures = [name for name in load_paper().views]
    assert set(EXPERIMENTS) == {"table1", "table2", "table3", *figures, "smoke_table4", "verify_paper", "causal_map"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_cell_of_the_sweep_composes(name):
    params = sweep(name)
    first = {key: values[0] for key, values in params.items()}
    jobs = [first | {key: value} for key, values in params.items() for value in values]
    for job in jobs:
        cfg = configure(f"+experiment={name}", *(f"{key}={value}" for key, value in job.items()))
        build_strategies(cfg.prune)


@pytest.mark.parametrize("name", sorted(load_paper().views))
def test_what_it_runs_is_what_the_report_shows(name):
    view, params = load_paper().views[name], sweep(name)
    assert set(params["model"]) == VARIANTS and tuple(params["dataset"]) == view.datasets
    cfg = configure(f"+experiment={name}", "model=vitb16_laion", f"dataset={view.datasets[0]}")
    chosen = {key for key in cfg.prune if key in ("high_ccs", "low_ccs", "random") and cfg.prune[key]}
    if cfg.prune.concept:
        chosen |= {f"concept/{concept}" for concept in cfg.prune.concept.names}
    assert chosen == set(view.conditions) - {"original"}
    assert cfg.ccs.name == "published" and (cfg.prune.match_count == "min") == view.equal


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_scores_are_those_of_the_paper_s_own_pool_probe_and_judge(name):
    cfg = configure(f"+experiment={name}", "model=vitb16_laion", "dataset=none")
    names = [cfg[group].name for group in ("ccs", "pool", "probe", "labeler", "judge", "dataset")]
    assert names == ["computed", "clip_text_span", "imagenet_val", "openai", "openai", "none"]
    free = configure(f"+experiment={name}", "model=vitb16_laion", "dataset=none", "labeler=taxonomy", "judge=taxonomy")
    assert (free.labeler.name, free.judge.name) == ("taxonomy", "taxonomy")


def test_the_small_grid_runs_and_the_command_line_narrows_it(tmp_path):
    command = [sys.executable, "-m", "ccs_exp", "-m", "+experiment=smoke_table4", "probe.source.seed=1,2", "dataset=digits"]
    command += ["dataset.limit=40", "probe.num_images=200", "tracker=none", f"hydra.sweep.dir={tmp_path}/sweep"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert sorted(path.parent.name for path in (tmp_path / "sweep").glob("*/summary.json")) == ["0", "1"]
    main([str(tmp_path / "sweep"), "--output", str(tmp_path / "page")])
    with open(tmp_path / "page" / "cells.csv", newline="") as file:
        assert {row["model"] for row in csv.DictReader(file) if row["dataset"] == "digits" and row["ours"]} == {
            "tiny_1",
            "tiny_2",
        }
