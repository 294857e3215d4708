"""The command line as a user meets it: exit status, messages, sweeps, interruption, an installed wheel."""

import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import command
import pytest
from small_jobs import QUICK_JOB, SMALL_JOB

from ccs_exp.run_folder.folder import RunFolder

ROOT = Path(__file__).parents[1]


def ccs_exp(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "ccs_exp", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | environment, check=False)


def test_a_job_prints_its_summary_and_its_folder(tmp_path):
    done = ccs_exp(*QUICK_JOB, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run_dir,) = (tmp_path / "outputs").glob("*/*")
    for part in ("tiny · scenes_shape", "CCS@5", "original", "high_ccs", run_dir.name):
        assert part in done.stdout
    for name in ("report.html", "figures/ccs_at_k.png", "figures/accuracy.png"):
        assert (run_dir / name).stat().st_size > 1000
    assert RunFolder(run_dir).read_summary()["num_samples"] == 40
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("start", "overrides", "message"),
    [
        (ccs_exp, ["model=vitb33"], "Error: model=vitb33 is not known. Choose one of: hf, open_clip, tiny, vitb16_laion"),
        (command.ccs_exp, ["dataset=folder"], "Error: Still needed: dataset.path=..."),
        (
            command.ccs_exp,
            ["prune=random", "prune.random.seedz=1"],
            "Error: There is no setting prune.random.seedz. Did you mean prune.random.seeds?",
        ),
        (command.ccs_exp, ["prune=heads", "prune.heads.list=[H3]"], "Error: 'H3' is not a head"),
        (command.ccs_exp, ["hydra.run.dir=/proc/nowhere"], "Error: "),
    ],
)
def test_errors_are_one_paragraph_with_a_status(start, overrides, message, tmp_path):
    done = start(*overrides, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr[done.stderr.index("Error: ") :].strip().splitlines()) == 1


@pytest.mark.full
def test_a_traceback_is_shown_when_asked_for(tmp_path):
    done = ccs_exp("prune=heads", "prune.heads.list=[H3]", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1 and "Traceback" in done.stderr and "CcsError" in done.stderr


@pytest.mark.full
def test_a_sweep_goes_on_after_failed_cells_names_each_and_fails_at_the_end(tmp_path):
    done = ccs_exp("-m", *QUICK_JOB, "prune=heads", "prune.heads.list=[L9.H0],[L5.H9],[L5.H1]", cwd=tmp_path)
    assert done.returncode == 1
    for cell in ("L9.H0: tiny has layers 0-5", "L5.H9: tiny has layers 0-5"):
        assert cell in done.stdout + done.stderr
    listed = done.stderr.partition("2 jobs of the sweep")[2]
    assert listed.count("prune.heads.list=[L") == 2
    (sweep,) = (tmp_path / "multirun").glob("*/*")
    assert sorted(path.parent.name for path in sweep.rglob("failed.txt")) == ["0", "1"]
    assert not (sweep / "0" / "summary.json").exists() and not (sweep / "1" / "summary.json").exists()
    assert RunFolder(sweep / "2").read_summary()["accuracy"].keys() == {"original", "heads/list"}


@pytest.mark.full  # a short one is in test_stopping.py
@pytest.mark.parametrize("delay", [0, 2])  # before and within the pass over the data
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_ends_and_leaves_only_whole_files(sent, delay, tmp_path):
    command = [sys.executable, "-m", "ccs_exp", *SMALL_JOB, "tracker=none", "dataset.source.num_images=6000", "hydra.run.dir=run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell inherit it ignored
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "heads.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(delay)
    process.send_signal(sent)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if sent == signal.SIGINT else 143), output
    assert "Traceback" not in output
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert "summary.json" not in left and not any(name.endswith(".part") for name in left)
    assert len(RunFolder(tmp_path / "run").read_heads()) == 32


@pytest.mark.full
def test_the_default_job_as_it_is(tmp_path):
    done = ccs_exp(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run_dir,) = (tmp_path / "outputs").glob("*/*")
    accuracy = RunFolder(run_dir).read_summary()["accuracy"]
    kinds = [name.partition("/")[0] for name in accuracy]
    assert {kind: kinds.count(kind) for kind in kinds} == {"original": 1, "high_ccs": 1, "low_ccs": 1, "head": 32, "matched": 50}
    assert list((run_dir / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.full
def test_an_installed_wheel_runs_from_anywhere(tmp_path):
    """Built from the checkout, unpacked without its dependencies beside those of this environment, and run elsewhere."""
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(here + "\n")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    script = tmp_path / "venv" / "bin" / "ccs-exp"
    code = "import ccs_exp.config.schema as c; print(c.config_dir())"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=elsewhere).stdout.strip()
    assert found == str(site / "ccs_exp" / "conf")
    done = subprocess.run([script, *QUICK_JOB], capture_output=True, text=True, cwd=elsewhere, check=False)
    assert done.returncode == 0, done.stderr
    assert list((elsewhere / "outputs").glob("*/*/report.html"))


@pytest.mark.full
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "40"},
    ],
)
def test_a_terminal_that_knows_few_characters_ends_no_job(environment, tmp_path):
    environment = os.environ | environment | {"CCS_EXP_CACHE": str(tmp_path / "store")}  # the bars of a pass are shown too
    done = subprocess.run([sys.executable, "-m", "ccs_exp", *QUICK_JOB], cwd=tmp_path, env=environment, capture_output=True)
    shown = (done.stdout + done.stderr).decode("latin-1")
    assert done.returncode == 0 and "Traceback" not in shown and "UnicodeEncodeError" not in shown, shown
    assert "Results:" in shown and "CCS@5" in shown
    (run_dir,) = (tmp_path / "outputs").glob("*/*")
    assert RunFolder(run_dir).read_summary()["accuracy"]
