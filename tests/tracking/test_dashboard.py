"""W&B over many runs: a record for each cell of a sweep, runs rebuilt from folders, the saved view, the sweep file."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command import ccs_exp
from example_run import RAN, asked, write_run
from wandb_record import read_record

from ccs_exp.config.schema import config_dir, configure
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.dashboard.command import main
from ccs_exp.tracking.dashboard.upload import upload
from ccs_exp.tracking.dashboard.view import CONDITIONS, definition, workspace
from ccs_exp.tracking.tracker import WandbTracker

QUICK = ("dataset.source.num_images=40", "probe.num_images=150", "tracker.tags=[mine]", "tracker.project=ours")
SECRET = "sk-proj-abcdefghijklmnop"
TIMES = ("_runtime", "_timestamp", "_wandb.runtime")


def change_summary(folder: Path, **changes) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A real sweep of four cells, with a secret in the environment."""
    place = tmp_path_factory.mktemp("sweep")
    options = ("-m", *QUICK, "dataset=scenes_shape,scenes_colour", "prune=high_ccs,paper")
    # a store of its own: what other tests have kept is no stage of these jobs
    done = ccs_exp(*options, cwd=place, OPENAI_API_KEY=SECRET, CCS_EXP_CACHE=str(place / "store"))
    assert done.returncode == 0, done.stderr
    (folder,) = (place / "multirun").glob("*/*")
    return folder


def cells(sweep):
    return [RunFolder(sweep / str(number)) for number in range(4)]


def test_a_sweep_leaves_one_record_for_each_cell_and_each_tells_which(sweep):
    assert len(list(sweep.rglob("*.wandb"))) == 4 and not list(sweep.rglob(".unfinished"))
    records = [read_record(folder.path) for folder in cells(sweep)]
    assert len({record.run_id for record in records}) == 4
    assert {record.group for record in records} == {f"{sweep.parent.name} {sweep.name}"}
    strategies = ("high_ccs", "high_ccs+low_ccs+random")
    assert [record.name for record in records] == [f"tiny/{data}/{how}" for data in ("scenes_shape", "scenes_colour") for how in strategies]
    for folder, record in zip(cells(sweep), records, strict=True):
        summary = folder.read_summary()
        assert record.run_id == summary["config_hash"] and record.exit_code == 0 and not record.missing
        assert record.summary["accuracy/high_ccs"] == summary["accuracy"]["high_ccs"]
        assert (record.config["cell"]["model"], record.config["cell"]["dataset"]) == ("tiny", summary["dataset"])
        assert record.config["cell"]["strategy"] == record.job_type in strategies


def test_what_was_asked_and_what_ran_stand_in_the_summary(sweep):
    for folder in cells(sweep):
        summary = folder.read_summary()
        ran, asked_of = summary["ran"], summary["asked"]
        assert asked_of["config"]["dataset"]["name"] == summary["dataset"] and asked_of["config"]["tracker"]["tags"] == ["mine"]
        assert asked_of["config"]["dataset"]["templates"]  # filled in
        assert len(asked_of["varied"]) == 2 and not set(asked_of["varied"]) & set(QUICK)
        assert ran["device"] == "cpu" and ran["device_name"] and ran["threads"] >= 1 and ran["libraries"]["torch"]
        assert ran["seconds"] >= sum(ran["stages"][name] for name in ("load", "score", "evaluate") if name in ran["stages"])
        assert ran["peak_memory_mib"] > 100 and summary["weights"]["sha256"]
        assert set(summary["ties"]) <= set(summary["accuracy"]) and "original" in summary["ties"]
    first = cells(sweep)[0].read_summary()["ran"]
    assert {"load", "decompose", "evaluate"} <= set(first["stages"]) and first["images_per_second"]["evaluate"] > 0


def test_runs_are_rebuilt_from_their_folders_alone_and_equal_but_for_times(sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    copy = tmp_path / "elsewhere"
    for folder in cells(sweep):
        shutil.copytree(folder.path, copy / folder.path.name, ignore=shutil.ignore_patterns("wandb", ".hydra"))
    main(["upload", str(copy), "--offline"])
    assert capsys.readouterr().out == "4 runs recorded offline, 0 failed.\n"
    for folder in cells(sweep):
        before, after = read_record(folder.path), read_record(copy / folder.path.name)
        assert before.project == "ours" and "mine" in before.tags and before.runtime >= int(folder.read_summary()["ran"]["seconds"])
        for name in ("run_id", "name", "group", "project", "job_type", "host", "tags", "config", "files", "artifacts", "exit_code"):
            assert getattr(after, name) == getattr(before, name), name
        for name in ("summary", "history"):
            one, other = (json.dumps(getattr(record, name), sort_keys=True) for record in (before, after))
            one, other = (json.loads(text) for text in (one, other))
            for items in (one, other):
                for item in items if isinstance(items, list) else [items]:
                    for key in TIMES:
                        item.pop(key, None)
            assert one == other


def test_secrets_of_whoever_uploads_are_not_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    write_run(tmp_path, asked=asked("high_ccs", config={"api_key": "abcdefgh", "note": f"the key is {SECRET}"}))
    main(["upload", str(tmp_path), "--offline"])
    assert read_record(tmp_path).config["api_key"] == "[hidden]"
    for path in tmp_path.rglob("wandb/**/*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_a_foreign_folder_s_interpolations_are_not_filled_in(tmp_path, monkeypatch, capsys):
    """With the environment of whoever uploads, neither from Hydra's file nor from the summary; the others are uploaded."""
    monkeypatch.setenv("CANARY", "canary-0123456789")
    config = "note: ${oc.env:CANARY}\nother: ${oc.decode:${oc.env:CANARY}}\n"
    for name in ("hydra", "summary", "key"):
        write_run(tmp_path / name, asked=asked("high_ccs"), ran=RAN, config_hash=name)
        (tmp_path / name / ".hydra").mkdir()
        (tmp_path / name / ".hydra" / "config.yaml").write_text(config)
    change_summary(tmp_path / "summary", asked=asked("high_ccs", config={"deep": {"list": ["${oc.env:CANARY}"]}}))
    change_summary(tmp_path / "key", asked=asked("high_ccs", config={"${oc.env:CANARY}": 1}))
    with pytest.raises(SystemExit):
        main(["upload", str(tmp_path), "--offline"])
    output = capsys.readouterr()
    assert "1 runs recorded offline, 2 failed." in output.out
    assert output.err.count("an interpolation") == 2 and "asked.config.deep.list" in output.err and "run the job again" in output.err
    for path in tmp_path.rglob("wandb/**/*"):
        assert not path.is_file() or b"canary-0123456789" not in path.read_bytes()
    assert "canary-0123456789" not in output.out + output.err


def test_of_a_cell_that_ran_twice_the_newer_is_uploaded(tmp_path, capsys):
    for number, name in enumerate(("old", "new")):
        write_run(tmp_path / name, config_hash="0" * 16, asked=asked("high_ccs", config={"seed": number}))
        os.utime(tmp_path / name / "summary.json", (number, number))
    main(["upload", str(tmp_path), "--offline"])
    assert "again later: " + str(tmp_path / "old") in capsys.readouterr().out
    assert read_record(tmp_path / "new").config["seed"] == 1 and not list((tmp_path / "old").glob("wandb/*"))


def test_what_cannot_be_rebuilt_is_said_and_the_others_are(tmp_path, capsys):
    for name in ("whole", "bare", "broken", "older"):
        write_run(tmp_path / name, config_hash=name, **({} if name == "bare" else {"asked": asked("high_ccs")}))
    (tmp_path / "broken" / "summary.json").write_text("{")
    change_summary(tmp_path / "older", schema_version=0)
    with pytest.raises(SystemExit) as end:
        main(["upload", str(tmp_path), "--offline"])
    output = capsys.readouterr()
    assert end.value.code == 1 and "1 runs recorded offline, 3 failed." in output.out
    assert "bare/summary.json does not say what its job was asked" in output.err and "broken/summary.json is not JSON" in output.err
    assert "older/summary.json is of schema version 0" in output.err and "Run the job again" in output.err
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
    write_run(tmp_path / "run", asked=asked("high_ccs"))
    with pytest.raises(SystemExit):
        main(["upload", str(tmp_path / "run")])
    assert "recorded offline only" in capsys.readouterr().err


def test_a_kill_while_the_record_is_written_leaves_none_and_the_next_start_one(tmp_path):
    write_run(tmp_path)
    code = (
        "import os, signal, sys, wandb; from pathlib import Path; from ccs_exp.tracking.tracker import WandbTracker;"
        "wandb.Run.finish = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL);"
        "WandbTracker().track(Path(sys.argv[1]))"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
        assert killed.returncode == -9 and (tmp_path / "wandb" / ".unfinished").is_dir()
        assert not list(tmp_path.glob("wandb/*run-*"))  # what `wandb sync` would take
    assert WandbTracker().track(tmp_path) == "offline"
    assert read_record(tmp_path).exit_code == 0 and [path.name for path in tmp_path.glob("wandb/.*")] == []


def test_a_cell_has_one_record_in_a_sweep_wherever_it_runs_again(tmp_path):
    (tmp_path / "multirun.yaml").touch()
    for name in ("0", "1", "deep/2"):
        write_run(tmp_path / name, config_hash="same" if name != "1" else "other")
        WandbTracker().track(tmp_path / name)
    assert [path.parts[-4] for path in tmp_path.rglob("*.wandb")] in (["1", "2"], ["2", "1"])


def test_runs_in_one_process_are_kept_apart(tmp_path):
    for name, chance in (("a", 0.9), ("b", 0.3)):
        write_run(tmp_path / name, conditions={"original": (0, chance), f"only_{name}": (1, chance)}, config_hash=name)
        WandbTracker().track(tmp_path / name)
    for name, other in (("a", "b"), ("b", "a")):
        record = read_record(tmp_path / name)
        assert (
            record.run_id == name and f"accuracy/only_{name}" in record.summary and f"accuracy/only_{other}" not in record.summary
        )
        assert len(record.history) == 1


def test_under_an_agent_the_sweep_names_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "chosen")
    write_run(tmp_path)
    WandbTracker().track(tmp_path)
    assert read_record(tmp_path).run_id == "0123456789abcdef"
    shutil.rmtree(tmp_path / "wandb")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    WandbTracker().track(tmp_path)
    assert read_record(tmp_path).run_id == "chosen"


def shown(view: dict) -> dict[str, list[dict]]:
    return {section["name"]: section["panels"] for section in view["spec"]["section"]["panelBankConfig"]["sections"]}


def test_the_view_shows_what_runs_record(sweep, capsys):
    main(["create", "--dry-run", "--project", "p", "--entity", "e"])
    view = json.loads(capsys.readouterr().out)
    assert (view["project"], view["entity"]) == ("p", "e")
    sections = shown(view)
    metrics = {metric for panels in sections.values() for panel in panels for metric in panel["config"].get("metrics", [])}
    assert {f"accuracy/{condition}" for condition in CONDITIONS} | {f"ccs_at_k/{k}" for k in range(6)} <= metrics
    whole = next(record for folder in cells(sweep) if "accuracy/random/2" in (record := read_record(folder.path)).summary)
    assert metrics - {"accuracy/low_ccs", "delta/low_ccs"} <= set(whole.summary)  # the bundled model has no low head
    media = [key for name in ("Figures", "Pages") for panel in sections[name] for key in panel["config"]["mediaKeys"]]
    assert all(f"{key}.path" in whole.summary for key in media) and "report" in media
    for name, key in (("Heads", "heads"), ("Conditions", "accuracy")):
        assert f'"{key}"' in json.dumps(sections[name]) and f"{key}.path" in whole.summary


def test_the_view_groups_by_what_a_cell_is_and_filters_by_it(sweep, capsys):
    only = ("--strategy", "high_ccs", "random", "--model", "tiny", "--ablation", "zero", "mean", "--task", "retrieval")
    main(["create", "--dry-run", "--project", "p", "--entity", "e", *only])
    view = json.loads(capsys.readouterr().out)
    runs = view["spec"]["section"]["runSets"][0]
    columns = {f"cell.value.{name}" for name in ("model", "dataset", "strategy", "ablation", "task")}
    assert {panel["config"]["groupBy"] for panels in shown(view).values() for panel in panels if "groupBy" in panel["config"]} == columns
    filters = {item["key"]["name"]: item["value"] for item in runs["filters"]["filters"]}
    assert filters == {
        "cell.value.model": ["tiny"],
        "cell.value.strategy": ["high_ccs", "random"],
        "cell.value.ablation": ["zero", "mean"],
        "cell.value.task": ["retrieval"],
    }
    assert {key["key"]["name"] for key in runs["sort"]["keys"]} == columns
    assert {f"config:{column}" for column in columns} <= set(runs["runFeed"]["columnPinned"])
    cell = read_record(cells(sweep)[0].path).config["cell"]
    assert {f"cell.value.{name}" for name in cell} == columns and (cell["ablation"], cell["task"]) == ("zero", "classification")


def test_seeds_are_one_panel_with_their_mean_and_spread():
    panels = shown(definition(workspace("p", "e")))
    (panel,) = panels["Random draws"]
    assert panel["config"]["metrics"] == ["accuracy/random/mean", "accuracy/random/sd"]
    assert "random/0" not in json.dumps(panels)


def test_a_view_of_other_conditions():
    view = definition(workspace("p", "e", conditions=["original", "concept/colors", "random/0"]))
    assert '"accuracy/concept/colors"' in json.dumps(view) and '"delta/random/0"' in json.dumps(view)
    for wrong in ("bogus", "random", "high", "head/3"):
        with pytest.raises(CcsError, match=f"--conditions {wrong}: no strategy"):
            workspace("p", "e", conditions=["original", wrong])


def test_the_sweep_file_is_the_command_line():
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    sweep = yaml.safe_load(Path(config_dir(), "wandb_sweep.yaml").read_text())
    assert sweep["command"][1:4] == ["python", "-m", "ccs_exp"] and sweep["command"][-1] == "${args_no_hyphens}"
    for name, choices in sweep["parameters"].items():
        for value in choices["values"]:
            arguments = create_sweep_command_args({"args": {name: {"value": value}}})["args_no_hyphens"]
            configure(*arguments, *(word for word in sweep["command"] if "=" in word))
