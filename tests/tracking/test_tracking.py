"""The record of a run in W&B, read back from its file."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from example_run import RAN, asked, head_rows, write_run, write_tasks
from wandb_record import WandbRecord, read_record
from wandb_server import wandb_server

from ccs_exp.config.secrets import without_secrets
from ccs_exp.errors import CcsError
from ccs_exp.report import write_report
from ccs_exp.run_folder.columns import HEADS_COLUMNS, UNCERTAINTY_COLUMNS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking import record_log
from ccs_exp.tracking.artifacts import KINDS
from ccs_exp.tracking.keys import cell, run_name, sweep_name
from ccs_exp.tracking.tracker import NoTracker, WandbTracker

WANDB_KEY = "0123456789" * 4
OPENAI_KEY = "sk-proj-abcdefghijklmnop"
CONFIG = {
    "model": {"name": "tiny", "pretrained": None},
    "judge": {
        "api_key": OPENAI_KEY,
        "base_url": "https://me:hunter2@example.org/v1",
        "max_tokens": 5,
        "prompt": f"key {OPENAI_KEY}",
    },
}
_SHARE = {"right": 2, "tested": 4, "untested": 1, "permuted": 0.125, "p": 0.01}
EVIDENCE = {
    "ccs_against_cost": {"heads": 9, "rho": 0.2, "low": None, "high": None, "p": 0.3, "spearman": 0.1, "reason": None},
    "labels_right": {"represents": {"all": _SHARE, "high": _SHARE, "others": _SHARE | {"right": 0, "tested": 0}}},
    "specificity": {"mean": 0.25, "above_zero": 3, "heads": 9},
    "areas": [{"task": "shape", "first": "ccs_falling", "second": "random", "area": 0.1, "low": 0.0, "high": 0.2}],
}
ASKED = asked("high_ccs", "random", config=CONFIG, sweep="sweep-1", varied=["dataset=scenes_shape", "seed=1"])


@pytest.fixture
def secrets(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)


def track_in_a_program(path: Path, environment: dict[str, str], then: str = "") -> None:
    code = (
        "import os, sys; from pathlib import Path; from ccs_exp.tracking.tracker import WandbTracker;"
        f"assert WandbTracker().track(Path(sys.argv[1])) == 'offline'; {then}"
    )
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run(command, check=True, timeout=120, cwd=Path(__file__).parents[2], env=environment)


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> tuple[RunFolder, WandbRecord]:
    """Of a run with all that a record may hold; tests that change it take a copy."""
    path = tmp_path_factory.mktemp("run")
    rows = head_rows(unjudged=("L9.H3",))
    rows[0]["label"] = '<b>"quoted",\n日本</b>'
    conditions = {"original": (0, 0.86), "high_ccs": (9, 0.61), "low_ccs": (0, 0.86)}
    conditions |= {f"random/{seed}": (9, 0.80 + 0.01 * seed) for seed in range(3)} | {f"matched/high_ccs/{n}": (9, 0.8) for n in range(20)}
    told = {"warnings": ["The model has random weights."], "skipped": ["a.png"], "evidence": EVIDENCE}
    folder = write_run(path, rows, conditions, asked=ASKED, ran=RAN, **told)
    RunFolder(path).write("causal_map.csv", [{"head": "L8.H0", "task": "shape", "standardised": 0.5}], ("head", "task", "standardised"))
    write_report(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_API_KEY", WANDB_KEY)
        patch.setenv("OPENAI_API_KEY", OPENAI_KEY)
        started = time.time()
        assert WandbTracker().track(path) == "offline"
    run = read_record(path)
    assert started - 73.4 - 60 < run.started < time.time() - 73
    return folder, run


def test_nothing_is_printed(tmp_path, secrets, capfd):
    write_run(tmp_path, asked=ASKED, ran=RAN)
    WandbTracker().track(tmp_path)
    output = capfd.readouterr()
    assert output.out == "" and output.err == ""


def table(folder: RunFolder, record: WandbRecord, key: str) -> dict:
    (files,) = folder.path.glob("wandb/*/files")
    return json.loads((files / record.summary[f"{key}.path"]).read_text(encoding="utf-8"))


def test_the_record_says_what_the_run_folder_says(record):
    folder, run = record
    assert (run.run_id, run.project, run.group) == ("0123456789abcdef", "ccs_exp", "sweep-1") and run.exit_code == 0
    assert (run.name, run.job_type) == ("tiny/scenes_shape/high_ccs+random seed=1", "high_ccs+random")
    assert run.tags == ["mine", "tiny", "scenes_shape", "high_ccs", "random"]
    filled = {"model": "tiny", "dataset": "scenes_shape", "strategy": "high_ccs+random", "ablation": "zero", "task": "classification"}
    assert run.config["cell"] == filled
    assert run.config["model"] == CONFIG["model"] and run.config["seed"] == 0
    assert run.config["ran"]["commit"] == RAN["commit"] and run.config["ran"]["device_name"] == "A CPU"

    flat = {}
    for row in folder.read_accuracy().to_dict("records"):
        name = row["condition"]
        if name.startswith("matched/"):
            continue
        flat[f"num_pruned/{name}"] = row["num_pruned"]
        if name == "low_ccs":  # no such head
            continue
        flat[f"{'accuracy' if row['metric'] == 'top1' else row['metric']}/{name}"] = row["value"]
        if row["metric"] == "top1" and name != "original":
            flat[f"delta/{name}"] = row["delta"]
    flat |= {f"ccs_at_k/{row['k']}": row["fraction"] for row in folder.read_ccs_at_k().to_dict("records")}
    summary = folder.read_summary()
    flat |= {f"accuracy/random/{name}": summary["random"][name] for name in ("mean", "sd")}
    flat["delta/random/mean"] = pytest.approx(summary["random"]["mean"] - summary["accuracy"]["original"])
    flat |= {"seconds/load": 1.5, "seconds/evaluate": 60.25, "seconds/total": 73.4, "images_per_second/evaluate": 123.4}
    flat |= {"peak_memory_mib": 512, "evidence/rho": 0.2, "evidence/p": 0.3, "evidence/specificity": 0.25}
    flat |= {f"evidence/labels_right/represents/{of}": 0.5 for of in ("all", "high")}  # of the others none is tested
    flat |= {f"evidence/labels_right/represents/{of}/permuted": 0.125 for of in ("all", "high", "others")}
    flat |= {"evidence/area/shape/ccs_falling-random": 0.1}
    numbers = {key: value for key, value in run.summary.items() if isinstance(value, int | float) and not key.startswith("_")}
    assert {key for key in numbers if "." not in key} - {"unjudged"} == set(flat)  # each thing once, and nothing else
    assert {key: numbers[key] for key in flat} == flat
    assert {key: value for item in run.history for key, value in item.items() if key in flat} == flat
    assert {key: run.summary[key] for key in ("warnings", "skipped", "unjudged")} == {
        key: summary[key] for key in ("warnings", "skipped", "unjudged")
    }


def test_tables_are_the_run_folder_s_and_numbers_are_numbers(record):
    folder, run = record
    heads, conditions = (table(folder, run, key) for key in ("heads", "accuracy"))
    assert table(folder, run, "causal_map")["data"] == [["L8.H0", "shape", 0.5]]
    assert heads["columns"] == list(HEADS_COLUMNS) and heads["data"] == folder.read_heads().to_numpy().tolist()
    assert conditions["columns"] == list(UNCERTAINTY_COLUMNS)
    assert conditions["data"] == folder.read_uncertainty().to_numpy().tolist()
    rows = [dict(zip(conditions["columns"], row, strict=True)) for row in conditions["data"]]
    high = next(row for row in rows if (row["condition"], row["metric"]) == ("high_ccs", "top1"))
    assert (high["strategy"], high["matched_sets"]) == ("high_ccs", 20) and 0 < high["p_matched"] < 1
    assert high["delta_low"] < high["delta"] < high["delta_high"] and isinstance(high["p_original_holm"], float)
    assert next(row for row in rows if row["condition"] == "random/2")["seed"] == 2


def test_figures_and_page_are_in_the_record_as_they_are(record):
    folder, run = record
    (files,) = folder.path.glob("wandb/*/files")
    shown = {key.removesuffix(".path") for key in run.summary if key.startswith("figures/") and key.endswith(".path")}
    assert shown == {"figures/accuracy", "figures/delta", "figures/heads_map"}  # CCS@K is there as numbers
    for key in shown:
        assert (files / run.summary[f"{key}.path"]).read_bytes() == (folder.path / f"{key}.png").read_bytes()
    assert run.summary["report._type"] == "html-file"
    assert (files / run.summary["report.path"]).read_bytes() == (folder.path / "report.html").read_bytes()


def test_every_file_that_the_record_names_lies_in_the_run_folder(record):
    folder, run = record
    assert len(run.files) == 7 and not run.missing and not run.artifacts
    assert all(path.resolve(strict=True) == path.absolute() for path in folder.path.rglob("wandb/**/*"))  # no link, to what is gone
    (log_file,) = folder.path.glob("wandb/*/*.wandb")
    assert b"/tmp/" not in b"".join(record_log.read(log_file)) and b".unfinished" not in b"".join(record_log.read(log_file))


def test_the_run_took_as_long_as_its_job(record):
    _, run = record
    assert 73 <= run.runtime < 133 and 73 <= run.summary["_runtime"] < 133 and 73 <= run.summary["_wandb.runtime"] < 133
    assert 73 <= run.history[0]["_runtime"] < 133


def test_a_record_s_log_is_written_as_w_and_b_writes_it(record, tmp_path):
    folder, _ = record
    (written,) = folder.path.glob("wandb/*/*.wandb")
    path = Path(shutil.copy(written, tmp_path))
    messages = list(record_log.read(path))
    for size in (0, 1, 32 * 1024 - 14, 32 * 1024 - 7, 32 * 1024, 200_000):  # around the ends of blocks
        messages.insert(len(messages) // 2, bytes(size))
    path.write_bytes(record_log.written(path.read_bytes(), iter(messages)))
    assert list(record_log.read(path)) == messages
    damaged = bytearray(path.read_bytes())
    damaged[40] ^= 1
    path.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match="damaged"):
        list(record_log.read(path))


def test_several_tasks_have_keys_of_their_own_and_the_mean_has_none(tmp_path):
    tasks = {"shape": {"original": (0, [True] * 9 + [False]), "high_ccs": (2, [True] * 5 + [False] * 5)},
             "colour": {"original": (0, [True] * 10), "high_ccs": (2, [True] * 9 + [False])}}  # fmt: skip
    told = {"accuracy": {"original": 0.95, "high_ccs": 0.7}, "delta": {"original": 0.0, "high_ccs": -0.25}}
    write_tasks(write_run(tmp_path, asked=ASKED, metric="top1", random=None, **told), tasks)
    WandbTracker().track(tmp_path)
    summary = read_record(tmp_path).summary
    assert (summary["accuracy/shape/high_ccs"], summary["accuracy/colour/high_ccs"], summary["accuracy/high_ccs"]) == (0.5, 0.9, 0.7)
    assert summary["delta/shape/high_ccs"] == -0.4 and summary["delta/high_ccs"] == -0.25 and "delta/original" not in summary


def test_names_tell_cells_apart():
    varied = ["model=tiny", "prune=high_ccs", "seed=2", "+x.y=1"]
    summary = {"model": "tiny", "dataset": "digits", "asked": asked("high_ccs", varied=varied)}
    assert run_name(summary) == "tiny/digits/high_ccs seed=2 +x.y=1"
    assert run_name(summary | {"asked": asked("random")}) == "tiny/digits/random"
    silenced = summary | {"asked": asked("random", config={"ablation": "mean", "dataset": {"task": "retrieval"}}, varied=["ablation=mean"])}
    assert run_name(silenced) == "tiny/digits/random ablation=mean" and cell(silenced)["task"] == "retrieval"
    assert run_name(summary | {"dataset": None}).startswith("tiny/scores/none")
    foreign = summary | {"asked": asked(config=dict.fromkeys(("prune", "dataset", "tracker"), "abc"))}
    assert cell(foreign) == {"model": "tiny", "dataset": "digits", "strategy": "none", "ablation": "zero", "task": "classification"}
    assert sweep_name("/a/multirun/2026-01-31/12-00-05-123456") == "2026-01-31 12-00-05-123456" and sweep_name("/a/table4") == "table4"


@pytest.mark.parametrize(("given", "sweep", "group"), [(None, "table4", "table4"), ("mine", "table4", "mine"), (None, None, "")])
def test_the_group_is_the_sweep_unless_one_is_asked_for(tmp_path, given, sweep, group):
    write_run(tmp_path, asked=asked("high_ccs", sweep=sweep))
    WandbTracker(group=given).track(tmp_path)
    assert read_record(tmp_path).group == group


@pytest.mark.enable_socket
def test_a_moved_run_folder_is_uploaded_whole_with_home_and_the_old_place_gone(record, tmp_path):
    folder, run = record
    moved, away = tmp_path / "run", folder.path.with_name("away")
    shutil.copytree(folder.path, moved)
    folder.path.rename(away)
    (place,) = moved.glob("wandb/*run-*")
    with wandb_server() as server:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        environment |= {"HOME": "/nonexistent", "WANDB_BASE_URL": server.url, "WANDB_API_KEY": WANDB_KEY}
        done = subprocess.run([sys.executable, "-m", "wandb", "sync", str(place)], env=environment, capture_output=True, timeout=120)
    away.rename(folder.path)
    assert done.returncode == 0 and list(place.glob("*.synced")), done.stderr
    assert {name: server.files[name] for name in run.files} == {name: (place / "files" / name).read_bytes() for name in run.files}
    sent = server.runs[run.run_id]
    assert (sent["displayName"], sent["groupName"], sent["jobType"]) == (run.name, run.group, run.job_type) and not sent.get("host")
    assert json.loads(sent["config"])["cell"]["value"] == run.config["cell"]
    assert server.summary["accuracy/high_ccs"] == run.summary["accuracy/high_ccs"]


@pytest.mark.enable_socket
def test_online_sends_the_record(tmp_path, monkeypatch):
    write_run(tmp_path / "run", asked=ASKED, ran=RAN)
    monkeypatch.setenv("HOME", str(tmp_path))
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
        assert WandbTracker("online").track(tmp_path / "run") == "online"
    run = read_record(tmp_path / "run")
    assert server.runs[run.run_id]["displayName"] == run.name and server.summary["accuracy/high_ccs"] == run.summary["accuracy/high_ccs"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]  # nothing of W&B's in the user's home


@pytest.mark.enable_socket
def test_a_cell_that_ran_again_makes_new_versions_of_its_artifacts_and_no_new_run(tmp_path, monkeypatch):
    run_folder = tmp_path / "run"
    write_run(run_folder, asked=ASKED, ran=RAN)
    (run_folder / "atlas").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
        for page in (b"before", b"after"):
            (run_folder / "atlas/index.html").write_bytes(page)
            assert WandbTracker("online").track(run_folder) == "online"
    (run_id,) = server.runs
    assert {name: len(versions) for name, versions in server.artifacts.items()} == {
        f"{kind}-{run_id}": 2 for kind in KINDS if (run_folder / KINDS[kind]).exists()
    }
    assert [version["index.html"] for version in server.artifacts[f"atlas-{run_id}"]] == [b"before", b"after"]
    assert server.artifacts[f"heads-{run_id}"][-1]["heads.csv"] == (run_folder / "heads.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.enable_socket
def test_a_server_that_refuses_leaves_the_offline_record(tmp_path, monkeypatch, caplog):
    write_run(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setattr("ccs_exp.tracking.tracker._UPLOAD_SECONDS", 3)
    assert WandbTracker("online").track(tmp_path) == "offline"
    assert "online is not used" in caplog.text and WANDB_KEY not in caplog.text and read_record(tmp_path).exit_code == 0


def test_no_secret_is_in_anything_that_wandb_wrote(record):
    folder, run = record
    for path in (folder.path / "wandb").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (WANDB_KEY, OPENAI_KEY, "hunter2"):
                assert secret.encode() not in content, path
    assert run.config["judge"]["max_tokens"] == 5 and run.config["judge"]["prompt"] == "key [hidden]"


def test_the_machine_is_not_described(record):
    folder, run = record
    names = {path.name for path in folder.path.glob("wandb/*/files/*")}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch"} and run.host == ""


def test_a_second_start_leaves_one_record_and_other_records_stay(tmp_path, secrets):
    write_run(tmp_path)
    other = tmp_path / "wandb" / "offline-run-20260101_000000-another"
    other.mkdir(parents=True)
    unfinished = tmp_path / "wandb" / "offline-run-20260101_000000-0123456789abcdef"
    unfinished.mkdir()
    (unfinished / "run-0123456789abcdef.wandb").write_bytes(b"half")
    for _ in range(2):
        WandbTracker().track(tmp_path)
        records = list((tmp_path / "wandb").glob("*run-*-0123456789abcdef"))
        assert len(records) == 1 and records[0] != unfinished
        assert read_record(tmp_path).exit_code == 0
    assert other.is_dir()


def test_a_run_without_evaluation_or_judged_heads_is_tracked(tmp_path):
    nothing = dict.fromkeys([f"{kind}_{number}" for kind in ("description", "verdict") for number in range(1, 6)])
    rows = [row | nothing | {"label": None, "ccs": None, "explained_variance": None} for row in head_rows()]
    write_run(tmp_path, rows, dataset=None)
    WandbTracker().track(tmp_path, key="a key/with: signs")
    run = read_record(tmp_path)
    assert run.run_id == "a-key-with--signs"
    assert run.summary["heads.nrows"] == 64 and not [key for key in run.summary if key.startswith(("accuracy", "ccs_"))]


def test_without_a_login_online_becomes_an_offline_record(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    write_run(tmp_path / "run")
    WandbTracker("online").track(tmp_path / "run")
    assert "no login" in caplog.text and "offline" in caplog.text
    assert read_record(tmp_path / "run").summary["accuracy/original"] > 0


def test_where_wandb_fails_altogether_a_warning_names_the_folder(tmp_path, monkeypatch, caplog, secrets):
    import wandb

    def broken(**arguments):
        raise wandb.errors.CommError(f"server said no to {WANDB_KEY}")

    monkeypatch.setattr(wandb, "init", broken)
    write_run(tmp_path)
    WandbTracker().track(tmp_path)
    assert "All results are in" in caplog.text and str(tmp_path) in caplog.text and WANDB_KEY not in caplog.text
    assert "ccs-exp dashboard upload" in caplog.text


def test_the_record_is_whole_when_the_program_ends_at_once(tmp_path):
    write_run(tmp_path)
    track_in_a_program(tmp_path, dict(os.environ), then="os._exit(0)")
    assert read_record(tmp_path).exit_code == 0


@pytest.mark.enable_socket
def test_offline_opens_no_connection_and_needs_no_home(tmp_path):
    write_run(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as proxy:  # every request of the program would come here
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "XDG_"))}
        environment |= {name: address for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        track_in_a_program(tmp_path, environment | {"HOME": "/proc/nowhere"})
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert read_record(tmp_path).exit_code == 0


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "sometimes"}, "offline or online"),
        ({"tags": "abc"}, r"tracker.tags=\[abc\]"),
        ({"tags": ["a", "x" * 65]}, "'x+' has 65 characters. A tag has 1 to 64"),
        ({"tags": [""]}, "has 0 characters. A tag has 1 to 64"),
        ({"project": "a/b"}, "tracker.project=a/b: W&B has no project with / in its name"),
        ({"project": "p" * 129}, "tracker.project='p+' has 129 characters: give 1 to 128"),
        ({"entity": " "}, "tracker.entity=' ' has 1 characters"),
        ({"group": "g" * 5000}, "tracker.group='g+' has 5000 characters: give 1 to 128"),
    ],
)
def test_what_w_and_b_would_refuse_afterwards_is_refused_before(settings, said):
    with pytest.raises(CcsError, match=said):
        WandbTracker(**settings)


def test_whatever_signs_people_use_come_through(tmp_path):
    own = {"tags": ["日本", "a,b", "🙂"], "group": "Gruppe/ß", "project": "mein Projekt"}
    write_run(tmp_path, asked=asked("high_ccs", config={"tracker": own}))
    WandbTracker().track(tmp_path)
    run = read_record(tmp_path)
    assert (run.tags[:3], run.group, run.project) == (["日本", "a,b", "🙂"], "Gruppe/ß", "mein Projekt")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WANDB_MODE", "offline", "WANDB_MODE=offline is set"),
        ("WANDB_MODE", "bogus", "Input should be"),
        ("WANDB_API_KEY", "short", "API key must have"),
    ],
)
def test_online_under_any_environment_leaves_at_least_the_offline_record(name, value, said, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setenv(name, value)
    write_run(tmp_path)
    assert WandbTracker("online").track(tmp_path) == "offline"
    assert said in caplog.text and "online is not used" in caplog.text and read_record(tmp_path).exit_code == 0


def test_no_tracker_writes_nothing(tmp_path):
    NoTracker().track(tmp_path)
    assert list(tmp_path.iterdir()) == []
