"""Lightning's loggers as trackers, and several trackers at once."""

import csv
import logging
from functools import partial

import pytest
from lightning.pytorch.loggers import CSVLogger

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.resume import asked_keys, is_kept, keep, restore
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import read_summary
from ccs_exp.tracking import content, loggers
from ccs_exp.tracking.loggers import LoggerTracker, Several
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


@pytest.mark.parametrize(("choice", "extra"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow"), ("several", "tensorboard")])
def test_without_their_package_its_installation_is_named(choice, extra, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(CcsError, match=rf"needs {extra}, which is not installed. Type: pip install 'ccs_exp\[{extra}\]'"):
        build(configure(f"tracker={choice}").tracker)


def test_a_logger_that_fails_only_warns(finished, caplog):
    failing = build(configure(*CSV).tracker)
    failing.logger.keywords["no_such_setting"] = 1
    with caplog.at_level(logging.WARNING):
        assert failing.track(finished) is None
    assert "The run is not tracked" in caplog.text and str(finished) in caplog.text


def test_no_number_is_called_as_the_folder_of_another_and_a_server_gets_no_more_at_once_than_it_takes(finished, monkeypatch):
    numbers = {"rho": 0.5, "right/all": 1.0, "right/all/permuted": 0.25, "right": 2.0} | {f"n/{k}": float(k) for k in range(2500)}
    monkeypatch.setattr(loggers.content, "numbers", lambda folder, summary: numbers)
    sent = []

    class Recording(CSVLogger):
        def log_metrics(self, metrics, step=None):
            sent.append(metrics)

    assert LoggerTracker(partial(Recording, save_dir=str(finished / "other"))).track(finished) == "offline"
    assert [len(metrics) for metrics in sent] == [1000, 1000, 504]
    found = {name: value for metrics in sent for name, value in metrics.items()}
    assert list(found.values()) == list(numbers.values())
    assert list(found)[:4] == ["rho", "right/all/value", "right/all/permuted", "right/value"]


def test_what_tensorboard_reads_back_is_each_number_once(finished):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert build(configure("tracker=tensorboard").tracker).track(finished) == "offline"
    events = EventAccumulator(str(finished / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    numbers = loggers._apart(content.numbers(RunFolder(finished), read_summary(finished)))
    assert found == {name: [pytest.approx(value, rel=1e-6)] for name, value in numbers.items()}


def test_what_mlflow_reads_back_is_each_number_and_the_files(finished, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow.tracking import MlflowClient

    for _ in range(2):  # a cell that runs again is another run of the same name
        built = build(configure("tracker=mlflow", f"tracker.logger.tracking_uri='file:{tmp_path}'").tracker)
        assert built.track(finished) == "offline"
    client = MlflowClient(f"file:{tmp_path}")
    runs = client.search_runs([client.get_experiment_by_name("ccs_exp").experiment_id])
    numbers = loggers._apart(content.numbers(RunFolder(finished), read_summary(finished)))
    assert [(run.info.run_name, run.info.status, run.data.metrics) for run in runs] == [
        ("tiny/digits/high_ccs", "FINISHED", numbers)
    ] * 2
    kept = {file.path for file in client.list_artifacts(runs[0].info.run_id)}
    assert {"heads.csv", "accuracy.csv", "predictions.parquet"} <= kept


def test_several_trackers_each_do_theirs(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: True)
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
