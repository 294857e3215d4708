from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from example_run import head_rows, write_run
from wandb_record import WandbRecord, read_record

from ccs_exp.errors import CcsError
from ccs_exp.report import write_report
from ccs_exp.run_folder.columns import HEADS_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.tracker import NoTracker, WandbTracker, code_version, without_secrets

WANDB_KEY = "0123456789" * 4
OPENAI_KEY = "sk-proj-abcdefghijklmnop"
CONFIG = {
    "model": {"name": "tiny", "pretrained": None},
    "seed": 0,
    "judge": {
        "api_key": OPENAI_KEY,
        "base_url": "https://me:hunter2@example.org/v1",
        "max_tokens": 5,
        "prompt": f"key {OPENAI_KEY}",
    },
}


@pytest.fixture
def secrets(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)


def track_in_a_program(path: Path, environment: dict[str, str], then: str = "") -> None:
    code = (
        "import os, sys; from pathlib import Path; from ccs_exp.tracking.tracker import WandbTracker;"
        f"WandbTracker().track(Path(sys.argv[1]), config={{}}, name='n', group=None, tags=[]); {then}"
    )
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run(command, check=True, timeout=60, cwd=Path(__file__).parents[2], env=environment)


def track(tracker, path: Path) -> None:
    tracker.track(path, config=CONFIG, name="tiny-scenes_shape", group="sweep-1", tags=["tiny", "scenes_shape"])


@pytest.fixture
def record(tmp_path, secrets, capfd) -> tuple[RunFolder, WandbRecord]:
    rows = head_rows(unjudged=("L9.H3",))
    rows[0]["label"] = '<b>"quoted",\n日本</b>'
    folder = write_run(tmp_path, rows, warnings=["The model has random weights."], skipped=["a.png"])
    write_report(tmp_path)
    track(WandbTracker(tags=["mine"]), tmp_path)
    output = capfd.readouterr()
    assert output.out == "" and output.err == ""
    return folder, read_record(tmp_path)


def table(folder: RunFolder, record: WandbRecord, key: str) -> dict:
    (files,) = folder.path.glob("wandb/*/files")
    return json.loads((files / record.summary[f"{key}.path"]).read_text(encoding="utf-8"))


def test_the_record_says_what_the_run_folder_says(record):
    folder, run = record
    assert (run.run_id, run.name, run.group, run.project) == ("0123456789abcdef", "tiny-scenes_shape", "sweep-1", "ccs_exp")
    assert sorted(run.tags) == ["mine", "scenes_shape", "tiny"] and run.exit_code == 0
    assert run.config["model"] == CONFIG["model"] and run.config["seed"] == 0
    assert run.config["code"] == code_version() and run.config["code"]["version"]

    flat = {}
    for row in folder.read_accuracy().to_dict("records"):
        if row["metric"] == "top1":
            flat |= {f"{kind}/{row['condition']}": row[column] for kind, column in (("accuracy", "value"), ("delta", "delta"))}
            flat[f"num_pruned/{row['condition']}"] = row["num_pruned"]
        else:
            flat[f"{row['metric']}/{row['condition']}"] = row["value"]
    flat |= {f"ccs_at_k/{row['k']}": row["fraction"] for row in folder.read_ccs_at_k().to_dict("records")}
    summary = folder.read_summary()
    flat |= {f"random/{name}": summary["random"][name] for name in ("mean", "sd")}
    assert len(flat) == 6 * 5 + 6 + 2
    assert {key: run.summary[key] for key in flat} == flat
    assert {key: value for item in run.history for key, value in item.items() if key in flat} == flat
    assert {key: run.summary[key] for key in ("warnings", "skipped", "unjudged")} == {
        key: summary[key] for key in ("warnings", "skipped", "unjudged")
    }


def test_the_table_of_heads_is_heads_csv(record):
    folder, run = record
    heads = table(folder, run, "heads")
    assert heads["columns"] == list(HEADS_COLUMNS)
    assert heads["data"] == folder.read_heads().to_numpy().tolist()


def test_the_distribution_is_a_bar_chart_and_a_histogram(record):
    folder, run = record
    bars = table(folder, run, "ccs_distribution/bars_table")
    assert bars["data"] == [[str(k), fraction] for k, fraction in folder.read_ccs_at_k().to_numpy().tolist()]
    counts = [int((folder.read_heads()["ccs"] == k).sum()) for k in range(6)]
    assert run.summary["ccs_distribution/histogram.values"] == counts and sum(counts) == 63
    assert run.config["_wandb.visualize.ccs_distribution/bars"]["panel_config"]["panelDefId"] == "wandb/bar/v0"


def test_the_figures_are_in_the_record(record):
    folder, run = record
    for path in folder.figures.glob("*.png"):
        (files,) = folder.path.glob("wandb/*/files")
        assert (files / run.summary[f"figures/{path.stem}.path"]).read_bytes() == path.read_bytes()


def test_no_secret_is_in_anything_that_wandb_wrote(record):
    folder, run = record
    for path in folder.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (WANDB_KEY, OPENAI_KEY, "hunter2"):
                assert secret.encode() not in content, path
    assert run.config["judge"]["max_tokens"] == 5 and run.config["judge"]["prompt"] == "key [hidden]"


def test_the_machine_is_not_described(record):
    folder, _ = record
    names = {path.name for path in folder.path.glob("wandb/*/files/*")}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch"}


def test_a_second_start_leaves_one_record_and_other_records_stay(tmp_path, secrets):
    write_run(tmp_path)
    other = tmp_path / "wandb" / "offline-run-20260101_000000-another"
    other.mkdir(parents=True)
    unfinished = tmp_path / "wandb" / "offline-run-20260101_000000-0123456789abcdef"
    unfinished.mkdir()
    (unfinished / "run-0123456789abcdef.wandb").write_bytes(b"half")
    for _ in range(2):
        track(WandbTracker(), tmp_path)
        records = list((tmp_path / "wandb").glob("*run-*-0123456789abcdef"))
        assert len(records) == 1 and records[0] != unfinished
        assert read_record(tmp_path).exit_code == 0
    assert other.is_dir()


def test_a_run_without_evaluation_or_judged_heads_is_tracked(tmp_path):
    nothing = dict.fromkeys([f"{kind}_{number}" for kind in ("description", "verdict") for number in range(1, 6)])
    rows = [row | nothing | {"label": None, "ccs": None, "explained_variance": None} for row in head_rows()]
    write_run(tmp_path, rows, dataset=None)
    WandbTracker().track(tmp_path, config={}, name="tiny", group=None, tags=[], key="a key/with: signs")
    run = read_record(tmp_path)
    assert run.run_id == "a-key-with--signs"
    assert run.summary["heads.nrows"] == 64 and not [key for key in run.summary if key.startswith(("accuracy", "ccs_"))]


def test_without_a_login_online_becomes_an_offline_record(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    write_run(tmp_path / "run")
    track(WandbTracker("online"), tmp_path / "run")
    assert "no login" in caplog.text and "offline" in caplog.text
    assert read_record(tmp_path / "run").summary["accuracy/original"] > 0


def test_where_wandb_fails_altogether_a_warning_names_the_folder(tmp_path, monkeypatch, caplog, secrets):
    import wandb

    def broken(**arguments):
        raise wandb.errors.CommError(f"server said no to {WANDB_KEY}")

    monkeypatch.setattr(wandb, "init", broken)
    write_run(tmp_path)
    track(WandbTracker(), tmp_path)
    assert "All results are in" in caplog.text and str(tmp_path) in caplog.text and WANDB_KEY not in caplog.text


def test_the_record_is_whole_when_the_program_ends_at_once(tmp_path):
    write_run(tmp_path)
    track_in_a_program(tmp_path, dict(os.environ), then="os._exit(0)")
    assert read_record(tmp_path).exit_code == 0


@pytest.mark.enable_socket
def test_offline_opens_no_connection(tmp_path):
    write_run(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # every request of the program would come here
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        environment |= {name: address for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        track_in_a_program(tmp_path, environment)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_secrets_are_hidden_by_name_and_by_value(secrets):
    assert without_secrets(CONFIG)["judge"] == {
        "api_key": "[hidden]",
        "base_url": "https://[hidden]@example.org/v1",
        "max_tokens": 5,
        "prompt": "key [hidden]",
    }
    assert without_secrets({"tokenizer": "simple", "token": None, "list": [{"HF_TOKEN": "x"}]}) == {
        "tokenizer": "simple",
        "token": None,
        "list": [{"HF_TOKEN": "[hidden]"}],
    }


def test_an_unknown_mode_is_an_error():
    with pytest.raises(CcsError, match="offline or online"):
        WandbTracker("sometimes")


def test_no_tracker_writes_nothing(tmp_path):
    track(NoTracker(), tmp_path)
    assert list(tmp_path.iterdir()) == []
