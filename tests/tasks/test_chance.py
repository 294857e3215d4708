"""A number that guessing gives is told as one, on every kind of task; a number that says something is not."""

import numpy as np
import pytest
from local_copies import class_folders
from sklearn.metrics import cohen_kappa_score

from ccs_exp.config.schema import configure
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tasks.chance import blind_share, no_better_than_chance


def test_the_share_of_blind_answers_is_kappas_agreement_by_chance():
    rng = np.random.default_rng(0)
    targets, predictions = rng.integers(0, 5, 400), rng.integers(0, 7, 400) % 5
    chance, found = blind_share(targets, predictions), float((targets == predictions).mean())
    assert (found - chance) / (1 - chance) == pytest.approx(cohen_kappa_score(targets, predictions))
    shuffled = np.mean([(targets == rng.permutation(predictions)).mean() for _ in range(2000)])
    assert shuffled == pytest.approx(chance, abs=0.003)
    assert blind_share(np.array([0, 0, 0, 1]), np.zeros(4, int)) == 0.75, "always one answer: that class's share"


def test_guesses_are_told_and_better_answers_are_not():
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(400):
        targets, predictions = rng.integers(0, 10, 300), rng.integers(0, 10, 300)
        told += bool(no_better_than_chance("top1", int((targets == predictions).sum()), 300, blind_share(targets, predictions)))
    assert told >= 380, "at least 95 of a hundred guessers"
    assert no_better_than_chance("top1", 60, 300, 0.1) == [] and no_better_than_chance("top1", 0, 300, 0.1)
    assert no_better_than_chance("top1", 1, 1, 0.5), "one image in all says nothing"
    (text,) = no_better_than_chance("top1 on mine", 30, 300, 0.1)
    assert "top1 on mine of the original model is 10.0% of 300" in text and "(6.7% to 13.7%)" in text


def warnings(tmp_path, *overrides):
    cfg = configure("tracker=none", "probe.num_images=100", "prune=none", *overrides)
    run(cfg, Job(str(tmp_path / "run")))
    return " ".join(RunFolder(tmp_path / "run").read_summary()["warnings"])


def test_a_job_warns_of_accuracies_that_are_chance_and_of_classes_without_names_or_images(tmp_path):
    class_folders(tmp_path / "images", ["n01440764", "n01443537", "big_cat", "big cat"], 3)
    said = warnings(tmp_path, "dataset=folder", f"dataset.path={tmp_path / 'images'}", "dataset.limit=10")
    for part in (
        "n01440764 as 'tench'",
        "Classes with one name, which no prompt tells apart: 'big cat', 'big cat'.",
        "top1 of the original model is",
        "images repeat others",
    ):
        assert part in said
    summary = RunFolder(tmp_path / "run").read_summary()
    assert "upright and on white" in summary["decoder"]


def test_the_bundled_data_is_no_chance_and_a_retrieval_by_a_random_model_is(tmp_path):
    assert "knows nothing" not in warnings(tmp_path / "a", "dataset=digits", "dataset.limit=60")
    random = ("dataset=scenes_video", "dataset.limit=20", "dataset.frames=2", "model.weights=null", "model.pretrained=null")
    assert "t2v_R@1 of the original model is" in warnings(tmp_path / "b", *random)
