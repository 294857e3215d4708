"""What every experiment composes to: a row for each table and figure; one sweep runs."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ccs_exp.config.schema import config_dir, configure
from ccs_exp.heads import RANDOM_FROM_ALL_LAYERS
from ccs_exp.jobs.assemble import build_strategies
from ccs_exp.report.command import main
from ccs_exp.report.reproduction.paper import load_paper

EXPERIMENTS = sorted(path.stem for path in Path(config_dir(), "experiment").glob("*.yaml"))
OTHERS = {"smoke_table4", "smoke_claims", "causal_map", "bias"}
VARIANTS = list(load_paper().models)
CLASSIFIED = ["cifar10", "cifar100", "food101"]
VIDEOS = ["msrvtt", "msvd", "didemo"]
ALL = [*CLASSIFIED, "country211", "oxford_pets", "imagenet_a", "imagenet_r", "cifar10_objects", "cifar10_animals", *VIDEOS]
TWO, THREE = ["high_ccs", "low_ccs"], ["high_ccs", "low_ccs", "random"]
CONCEPTS, NULL = ["concept"], ["concept", "matched"]

# Tables and figures: data sets, where scores come from, strategies, equal counts, seeds of random draws
PAPER = {
    "table1": (["none"], "computed", [], False, None),
    "table2": (["none"], "computed", [], False, None),
    "table3": (["none"], "computed", [], False, None),
    "table4": (CLASSIFIED, "published", TWO, False, None),
    "table5": (["country211", "oxford_pets"], "published", TWO, False, None),
    "table6": (["imagenet_a", "imagenet_r"], "published", TWO, False, None),
    "figure2": (CLASSIFIED, "published", THREE, False, [0, 1, 2]),
    "figure3": (["country211"], "published", CONCEPTS, False, None),
    "figure4": (["cifar10_objects"], "published", CONCEPTS, False, None),
    "figure5": (VIDEOS, "published", THREE, False, [0, 1, 2]),
    "table4_equal": (CLASSIFIED, "published", TWO, True, None),
    "table5_equal": (["country211", "oxford_pets"], "published", TWO, True, None),
    "table6_equal": (["imagenet_a", "imagenet_r"], "published", TWO, True, None),
    "figure2_equal": (CLASSIFIED, "published", THREE, True, [0, 1, 2, 3, 4]),
    "figure5_equal": (VIDEOS, "published", THREE, True, [0, 1, 2, 3, 4]),
    "figure3_matched": (["country211"], "published", NULL, False, None),
    "figure4_matched": (["cifar10_objects"], "published", NULL, False, None),
    "figure5_shuffled": (VIDEOS, "published", THREE, False, [0, 1, 2]),
    "pipeline": (ALL, "computed", [*THREE, "concept"], False, [0, 1, 2]),
    "claims": (ALL, "published", [*THREE, "concept", "matched"], False, [0, 1, 2]),
    "claims_equal": (ALL, "published", THREE, True, [0, 1, 2, 3, 4]),
    "later": ([*CLASSIFIED, "country211"], "computed", THREE, False, [0, 1, 2, 3, 4]),
    "verify_paper": (ALL[:7], "published", TWO, False, None),
}  # fmt: skip
# what protocol=paper opens data sets with
OPENED = {
    "cifar10": {"jpeg_quality": 75}, "cifar10_objects": {"jpeg_quality": 75}, "cifar10_animals": {"jpeg_quality": 75},
    "cifar100": {"names": "folders"}, "food101": {}, "country211": {"names": "paper"},
    "oxford_pets": {"first_word": True, "whole_layout": "oxford_pets_whole", "whole_samples": 7390},
    "imagenet_a": {"names": "readme"}, "imagenet_r": {"names": "readme"},
    "msrvtt": {"protocol": "paper"}, "msvd": {"protocol": "paper"}, "didemo": {"protocol": "paper"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """Where videos lie, which come from nowhere else."""
    for name in VIDEOS:
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.setenv("CCS_EXP_DATA", str(tmp_path / "data"))


def sweep(name: str) -> dict[str, list[str]]:
    """What the experiment sweeps over; causal_map is a job, not a sweep."""
    files = [yaml.safe_load(Path(config_dir(), "experiment", f"{file}.yaml").read_text()) for file in ("shared/paper", name)]
    shared = files[:1] if "shared/paper" in files[1]["defaults"] else []
    params = [file.get("hydra", {}).get("sweeper", {}).get("params", {}) for file in (*shared, files[1])]
    return {key: str(values).split(",") for part in params for key, values in part.items()}


def strategies(cfg) -> list[str]:
    return [key for key in ("high_ccs", "low_ccs", "random", "concept", "matched") if cfg.prune[key]]


def test_they_are_those_of_the_paper_and_small_ones():
    assert set(EXPERIMENTS) == set(PAPER) | OTHERS | {"bias"} and set(load_paper().views) <= set(PAPER)


@pytest.mark.parametrize("name", PAPER)
def test_what_each_composes_to_is_what_the_report_shows(name):
    datasets, scores, chosen, equal, seeds = PAPER[name]
    params = sweep(name)
    assert params["dataset"] == datasets
    assert params["model"] == (["vitb32_openai", "vitb16_laion", "vitl14_openai"] if name == "table2" else VARIANTS)
    order = [f"dataset.frame_order={value}" for value in params.get("dataset.frame_order", ())]
    cfg = configure(f"+experiment={name}", "model=vitb32_openai", f"dataset={datasets[0]}", *order)
    build_strategies(cfg.prune)
    assert (cfg.protocol, cfg.ccs.name, strategies(cfg)) == ("paper", scores, chosen)
    assert (cfg.prune.match_count == "min") == equal and (seeds is None or list(cfg.prune.random.seeds) == seeds)
    assert not equal or list(cfg.prune.match_seeds) == [0, 1, 2, 3, 4]
    # also where the authors' sets are used: with ccs=computed the scores are the paper's, not ours
    judge = "panel" if name == "later" else "openai"
    names = [cfg[group].name for group in ("pool", "probe", "labeler", "judge")]
    assert (names, cfg.textspan) == (["clip_text_span", "imagenet_val", "openai", judge], "reference")
    if cfg.prune.concept:
        assert list(cfg.prune.concept.names) == ["locations", "objects", "colors", "animals"]
    if cfg.prune.matched:
        assert set(cfg.prune.matched.of) == ({"concept"} if name.startswith("figure") else {"high_ccs", "concept"})
        assert cfg.prune.matched.draws == 200
    if datasets == VIDEOS:
        assert cfg.dataset.frame_order == ("shuffled" if name == "figure5_shuffled" else "as_filmed")
    if view := load_paper().views.get(name):
        assert tuple(datasets) == view.datasets and equal == view.equal and scores == "published"
        shown = {key for key in chosen if key != "concept"} | {f"concept/{one}" for one in (cfg.prune.concept.get("names") or ())}
        assert shown == set(view.conditions) - {"original"}


# one of each kind of difference by the short tests
@pytest.mark.parametrize("dataset", [pytest.param(d, marks=pytest.mark.full if n % 2 else []) for n, d in enumerate(OPENED)])
def test_data_sets_are_opened_as_the_authors_did(dataset):
    cfg = configure("+experiment=claims", "model=vitb16_laion", f"dataset={dataset}")
    usual = configure("model=vitb16_laion", f"dataset={dataset}")
    paper, standard = dict(cfg.dataset.source), dict(usual.dataset.source)
    assert {key: value for key, value in paper.items() if value != standard[key]} == OPENED[dataset]
    assert bool(OPENED[dataset]) == (dataset in load_paper().own_protocol)
    other = list(cfg.dataset.templates) != list(usual.dataset.templates)
    assert other == (dataset == "oxford_pets")


@pytest.mark.parametrize("model", ["vitb32_openai", "vitb32_datacomp", "vitl14_openai"])
def test_random_heads_are_drawn_where_the_authors_drew_them(model):
    asked = ("+experiment=figure2", f"model={model}", "dataset=cifar10")
    layers = [configure(*asked, *more).prune.random.layers for more in ((), ["protocol=standard"])]
    assert layers == ["all" if model in RANDOM_FROM_ALL_LAYERS else "scored", "scored"]
    given = configure(*asked, "prune.random.layers=scored")
    assert given.prune.random.layers == "scored"


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_every_cell_of_the_small_sweeps_composes(name):
    params = sweep(name)
    first = {key: values[0] for key, values in params.items()}
    for job in [first | {key: value} for key, values in params.items() for value in values] or [{}]:
        build_strategies(configure(f"+experiment={name}", *(f"{key}={value}" for key, value in job.items())).prune)


def test_the_command_line_says_otherwise():
    assert sweep("later")["prune.match_count"] == ["null", "min"]
    own = configure("+experiment=table4", "model=vitl14_laion", "dataset=cifar10", "ccs=computed", "protocol=standard")
    assert (own.ccs.name, own.protocol, own.pool.name, own.labeler.name) == ("computed", "standard", "clip_text_span", "openai")
    free = configure("+experiment=table3", "model=vitb16_laion", "dataset=none", "labeler=taxonomy", "judge=taxonomy")
    assert (free.labeler.name, free.judge.name) == ("taxonomy", "taxonomy")


def run_sweep(tmp_path, *arguments):
    command = [sys.executable, "-m", "ccs_exp", "-m", *arguments, "tracker=none", f"hydra.sweep.dir={tmp_path}/sweep"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_the_small_grid_runs_and_the_command_line_narrows_it(tmp_path):
    run_sweep(tmp_path, "+experiment=smoke_table4", "probe.source.seed=1,2", "dataset=digits", "dataset.limit=40", "probe.num_images=200")
    assert sorted(path.parent.name for path in (tmp_path / "sweep").glob("*/summary.json")) == ["0", "1"]
    main([str(tmp_path / "sweep"), "--output", str(tmp_path / "page")])
    with open(tmp_path / "page" / "cells.csv", newline="") as file:
        assert {row["model"] for row in csv.DictReader(file) if row["dataset"] == "digits" and row["ours"]} == {
            "tiny_1",
            "tiny_2",
        }


@pytest.mark.full
def test_the_small_grid_of_claims_is_asked_them_all(tmp_path, capsys):
    small = ["probe.num_images=300", "dataset.limit=60", "prune.matched.draws=20", "ccs.low=2"]  # no head of its models has less than 2
    run_sweep(tmp_path, "+experiment=smoke_claims", *small)
    main([str(tmp_path / "sweep"), "--output", str(tmp_path / "page"), "--claims"])
    with open(tmp_path / "page" / "claims.csv", newline="") as file:
        ours = {row["claim"] for row in csv.DictReader(file) if row["source"] != "the paper's own numbers" and row["value"]}
    assert {"high_more_than_low", "more_per_head", "more_than_matched", "more_than_random", "costs_everywhere", "video", "concepts"} <= ours
