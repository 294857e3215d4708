"""W&B over many runs: a record for each cell of a sweep, runs rebuilt from folders, the saved view, the sweep file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from example_run import write_run
from omegaconf import OmegaConf
from wandb_record import read_record

from ccs_exp.config.schema import config_dir, configure
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.dashboard.command import main
from ccs_exp.tracking.dashboard.upload import configuration, upload
from ccs_exp.tracking.dashboard.view import CONDITIONS, definition, workspace
from ccs_exp.tracking.tracker import WandbTracker

QUICK = ("dataset.source.num_images=40", "probe.num_images=150")
SECRET = "sk-proj-abcdefghijklmnop"


def tracked(path, group=None):
    return WandbTracker().track(path, config={}, name=path.name, group=group, tags=[])


def cell_values(folder):
    """``accuracy.csv`` under the names that W&B has."""
    primary = folder.read_summary()["metric"]
    return {
        f"{kind}/{row['condition']}": row[column]
        for row in folder.read_accuracy().to_dict("records")
        if row["metric"] == primary
        for kind, column in (("accuracy", "value"), ("delta", "delta"))
    }


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A real sweep of four cells, with a secret in the environment."""
    place = tmp_path_factory.mktemp("sweep")
    command = [sys.executable, "-m", "ccs_exp", "-m", *QUICK, "dataset=scenes_shape,scenes_colour", "prune=high_ccs,paper"]
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, env=os.environ | {"OPENAI_API_KEY": SECRET}
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (place / "multirun").glob("*/*")
    return folder


def cells(sweep):
    return [RunFolder(sweep / str(number)) for number in range(4)]


def test_a_sweep_leaves_one_record_for_each_cell_which_says_what_its_folder_says(sweep):
    assert len(list(sweep.rglob("*.wandb"))) == 4 and not list(sweep.rglob(".unfinished"))
    records = [read_record(folder.path) for folder in cells(sweep)]
    assert len({record.run_id for record in records}) == 4 and {record.group for record in records} == {sweep.name}
    for folder, record in zip(cells(sweep), records, strict=True):
        values, summary = cell_values(folder), folder.read_summary()
        assert {key: record.summary[key] for key in values} == values and len(values) >= 4
        assert record.run_id == summary["config_hash"] and record.exit_code == 0
        assert record.config["cell"] == {"model": "tiny", "dataset": summary["dataset"]}


def test_runs_are_rebuilt_from_their_folders_alone(sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    copy = tmp_path / sweep.name
    shutil.copytree(sweep, copy, ignore=shutil.ignore_patterns("wandb"))
    secret = copy / "1" / ".hydra" / "config.yaml"
    secret.write_text(secret.read_text() + f"api_key: abcdefgh\nnote: the key is {SECRET}\n")
    main(["upload", str(copy), "--offline"])
    assert capsys.readouterr().out == "4 runs recorded offline, 0 failed.\n"
    for folder in cells(sweep):
        before, after = read_record(folder.path), read_record(copy / folder.path.name)
        assert (after.run_id, after.name, after.group, sorted(after.tags)) == (
            before.run_id, before.name, before.group, sorted(before.tags),
        )  # fmt: skip
        assert {key: after.config[key] for key in before.config if key != "_wandb"} == {
            key: value for key, value in before.config.items() if key != "_wandb"
        }
        values = cell_values(folder) | {f"ccs_at_k/{k}": before.summary[f"ccs_at_k/{k}"] for k in range(6)}
        assert {key: after.summary[key] for key in values} == values
        assert after.summary["heads.sha256"] == before.summary["heads.sha256"]
    assert read_record(copy / "1").config["api_key"] == "[hidden]"
    for path in copy.rglob("wandb/**/*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_of_a_cell_that_ran_twice_the_newer_is_uploaded(tmp_path, capsys):
    for number, name in enumerate(("old", "new")):
        write_run(tmp_path / name, config_hash="0" * 16)
        os.utime(tmp_path / name / "summary.json", (number, number))
        (tmp_path / name / ".hydra").mkdir()
        OmegaConf.save({"seed": number}, tmp_path / name / ".hydra" / "config.yaml")
    main(["upload", str(tmp_path), "--offline"])
    assert "again later: " + str(tmp_path / "old") in capsys.readouterr().out
    assert read_record(tmp_path / "new").config["seed"] == 1 and not list((tmp_path / "old").glob("wandb/*"))


def test_what_cannot_be_rebuilt_is_said_and_the_others_are(tmp_path, capsys):
    for name in ("whole", "bare", "broken"):
        write_run(tmp_path / name, config_hash=name)
    (tmp_path / "whole" / ".hydra").mkdir()
    OmegaConf.save({"seed": 1}, tmp_path / "whole" / ".hydra" / "config.yaml")
    (tmp_path / "broken" / "summary.json").write_text("{")
    with pytest.raises(SystemExit) as end:
        main(["upload", str(tmp_path), "--offline"])
    output = capsys.readouterr()
    assert end.value.code == 1 and "1 runs recorded offline, 2 failed." in output.out
    assert "bare/.hydra/config.yaml cannot be read" in output.err and "broken/summary.json is not JSON" in output.err
    assert read_record(tmp_path / "whole").run_id == "whole"
    with pytest.raises(CcsError, match="is not a folder"):
        upload([tmp_path / "nowhere"], WandbTracker())
    (tmp_path / "empty").mkdir()
    with pytest.raises(CcsError, match="no finished run"):
        upload([tmp_path / "empty"], WandbTracker())


def test_an_upload_that_stayed_offline_has_failed(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    write_run(tmp_path / "run")
    (tmp_path / "run" / ".hydra").mkdir()
    OmegaConf.save({"seed": 1}, tmp_path / "run" / ".hydra" / "config.yaml")
    with pytest.raises(SystemExit):
        main(["upload", str(tmp_path / "run")])
    assert "recorded offline only" in capsys.readouterr().err


def test_a_kill_while_the_record_is_written_leaves_none_and_the_next_start_one(tmp_path):
    write_run(tmp_path)
    code = (
        "import os, signal, sys, wandb; from pathlib import Path; from ccs_exp.tracking.tracker import WandbTracker;"
        "wandb.Run.finish = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL);"
        "WandbTracker().track(Path(sys.argv[1]), config={}, name='n', group=None, tags=[])"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
        assert killed.returncode == -9 and (tmp_path / "wandb" / ".unfinished").is_dir()
        assert not list(tmp_path.glob("wandb/*run-*"))  # what `wandb sync` would take
    assert tracked(tmp_path) == "offline"
    assert read_record(tmp_path).exit_code == 0 and [path.name for path in tmp_path.glob("wandb/.*")] == []


def test_a_cell_has_one_record_in_a_sweep_wherever_it_runs_again(tmp_path):
    (tmp_path / "multirun.yaml").touch()
    for name in ("0", "1", "deep/2"):
        write_run(tmp_path / name, config_hash="same" if name != "1" else "other")
        tracked(tmp_path / name)
    assert [path.parts[-4] for path in tmp_path.rglob("*.wandb")] in (["1", "2"], ["2", "1"])


def test_runs_in_one_process_are_kept_apart(tmp_path):
    for name, chance in (("a", 0.9), ("b", 0.3)):
        write_run(tmp_path / name, conditions={"original": (0, chance), f"only_{name}": (1, chance)}, config_hash=name)
        tracked(tmp_path / name)
    for name, other in (("a", "b"), ("b", "a")):
        record = read_record(tmp_path / name)
        assert (
            record.run_id == name and f"accuracy/only_{name}" in record.summary and f"accuracy/only_{other}" not in record.summary
        )
        assert len(record.history) == 1


def test_under_an_agent_the_sweep_names_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "chosen")
    write_run(tmp_path)
    tracked(tmp_path)
    assert read_record(tmp_path).run_id == "0123456789abcdef"
    shutil.rmtree(tmp_path / "wandb")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    tracked(tmp_path)
    assert read_record(tmp_path).run_id == "chosen"


def test_the_view_shows_what_runs_record(sweep, capsys):
    main(["create", "--dry-run", "--project", "p", "--entity", "e"])
    view = json.loads(capsys.readouterr().out)
    assert (view["project"], view["entity"]) == ("p", "e")
    sections = {section["name"]: section["panels"] for section in view["spec"]["section"]["panelBankConfig"]["sections"]}
    assert list(sections) == [
        "CCS@K per model",
        "Accuracy per condition",
        "Delta per condition",
        "Heads",
        "Figures",
        "What differs",
    ]
    metrics = {metric for panels in sections.values() for panel in panels for metric in panel["config"].get("metrics", [])}
    assert {f"accuracy/{condition}" for condition in CONDITIONS} | {f"ccs_at_k/{k}" for k in range(6)} <= metrics
    whole = next(record for folder in cells(sweep) if "accuracy/random/2" in (record := read_record(folder.path)).summary)
    assert metrics <= set(whole.summary)
    groups = {panel["config"]["groupBy"] for panels in sections.values() for panel in panels if "groupBy" in panel["config"]}
    assert groups == {"cell.value.model", "cell.value.dataset"} and set(whole.config["cell"]) == {"model", "dataset"}
    media = [key for panel in sections["Figures"] for key in panel["config"]["mediaKeys"]]
    assert all(f"{key}.path" in whole.summary for key in media)
    assert '"heads"' in json.dumps(sections["Heads"]) and "heads.path" in whole.summary


def test_a_view_of_other_conditions():
    view = definition(workspace("p", "e", conditions=["original", "concept/colors"]))
    assert '"accuracy/concept/colors"' in json.dumps(view) and "random" not in json.dumps(
        view["spec"]["section"]["panelBankConfig"]
    )


def test_the_sweep_file_is_the_command_line():
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    sweep = yaml.safe_load(Path(config_dir(), "wandb_sweep.yaml").read_text())
    assert sweep["command"][1:4] == ["python", "-m", "ccs_exp"] and sweep["command"][-1] == "${args_no_hyphens}"
    for name, asked in sweep["parameters"].items():
        for value in asked["values"]:
            arguments = create_sweep_command_args({"args": {name: {"value": value}}})["args_no_hyphens"]
            configure(*arguments, *(word for word in sweep["command"] if "=" in word))


def test_a_configuration_is_filled_in(sweep):
    assert configuration(sweep / "0")["dataset"]["templates"]
