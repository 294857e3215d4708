"""Lightning's loggers as trackers, and several trackers at once."""

import csv
import logging

import pytest

from ccs_exp.config.schema import configure
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.resume import asked_keys, is_kept, keep, restore
from ccs_exp.tracking.loggers import Several
from ccs_exp.tracking.tracker import NoTracker

CSV = ["tracker=tensorboard", "tracker.logger._target_=lightning.pytorch.loggers.CSVLogger", "tracker.logger.save_dir='{run}/log'"]
SMALL = ["dataset=digits", "dataset.limit=20", "probe.num_images=40", "prune=high_ccs"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(configure(*SMALL, *CSV), Job(str(folder)))
    return folder


def test_any_logger_of_lightnings_gets_settings_and_numbers(finished):
    with (finished / "log/metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    with (finished / "accuracy.csv").open() as file:
        top1 = {line["condition"]: float(line["value"]) for line in csv.DictReader(file) if line["metric"] == "top1"}
    assert float(row["accuracy/original"]) == pytest.approx(top1["original"]) and "ccs_at_k/0" in row
    assert "probe" in (finished / "log/hparams.yaml").read_text()


def test_a_finished_job_is_kept_and_one_with_a_logger_is_tracked_again(finished, tmp_path):
    asked = asked_keys([*SMALL, *CSV])
    keep(configure(*SMALL, *CSV), str(finished), asked)
    assert is_kept(configure(*SMALL, *CSV), [*SMALL, *CSV])
    assert not restore(configure(*SMALL, *CSV), str(tmp_path), asked)  # it has a logger to write to


def test_a_logger_that_is_not_installed_or_fails_only_warns(finished, caplog):
    with caplog.at_level(logging.WARNING):
        missing = build(configure("tracker=mlflow", "tracker.logger.experiment_name=x").tracker)
        missing.logger.keywords["no_such_setting"] = 1
        assert missing.track(finished) is None
    assert "The run is not tracked" in caplog.text and str(finished) in caplog.text


def test_several_trackers_each_do_theirs(finished, tmp_path):
    built = build(configure("tracker=several").tracker)
    assert isinstance(built, Several) and sorted(built.trackers) == ["tensorboard", "wandb"]

    class Failing:
        def track(self, run_dir):
            return None

    class Recording:
        def track(self, run_dir):
            (tmp_path / "seen").write_text(str(run_dir))
            return "offline"

    assert Several(a=Failing(), b=Recording(), c=NoTracker()).track(finished) == "offline"
    assert (tmp_path / "seen").read_text() == str(finished)
