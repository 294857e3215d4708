"""Signals at any moment: the status of the signal, and nothing left running or in the temporary folder."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import psutil
import pytest

from ccs_exp.journal.state import read_job

SMALL = ["device=cpu", "dataset.source.num_images=300", "probe.num_images=400", "prune=high_ccs", "hydra.run.dir=run"]
LONG = ["device=cpu", "tracker=none", "dataset.source.num_images=20000", "probe.num_images=400", "prune=high_ccs"]
MARK = "CCS_EXP_TEST_OF_STOPPING"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Program:
    """A command in a session, with a store and a temporary folder of its own."""

    def __init__(self, folder, *arguments, code="from ccs_exp.__main__ import main; main()"):
        self.temporary, self.mark = folder / "temporary", uuid.uuid4().hex
        self.temporary.mkdir(exist_ok=True)
        environment = os.environ | {"TMPDIR": str(self.temporary), "CCS_EXP_CACHE": str(folder / "store"), MARK: self.mark}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's background jobs ignore it
        )  # fmt: skip

    def send(self, sent):
        """As a terminal does for Ctrl-C: to all; as `kill` does: to one."""
        (os.killpg if sent is signal.SIGINT else os.kill)(self.process.pid, sent)

    def wait(self):
        return self.process.communicate(timeout=120)[0]

    def running(self):
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def leaves_nothing(self, temporary=True):
        """Waits for processes that notice their parent's end."""
        until(lambda: not self.running())
        return not temporary or not list(self.temporary.iterdir())


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# what a pass over the images does meets the end of a weak reference, whose callback the signal's handler interrupts
IN_A_CALLBACK = """
    import os, signal, weakref
    from ccs_exp.data.images.batches import ImageData

    class Thing: pass

    def test_dataloader(data, of_data=ImageData.test_dataloader):
        thing = Thing()
        reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.{name}))
        del thing
        return of_data(data)

    ImageData.test_dataloader = test_dataloader
    from ccs_exp.__main__ import main
    main()
"""


@pytest.mark.parametrize("sent", STATUS, ids=lambda sent: sent.name)
def test_a_signal_in_a_callback_that_drops_exceptions_ends_a_sweep(sent, tmp_path):
    several = [override for override in SMALL if "run.dir" not in override]
    program = Program(
        tmp_path, "-m", *several, "tracker=none", "seed=0,1", "hydra.sweep.dir=sweep", code=IN_A_CALLBACK.format(name=sent.name)
    )
    output = program.wait()
    assert program.process.returncode == STATUS[sent], output
    assert "Exception ignored" in output  # Python has dropped it
    assert read_job(tmp_path / "sweep" / "0").state == "interrupted" and not (tmp_path / "sweep" / "1").exists()
    assert program.leaves_nothing()


def interrupted_at(delay, sent, folder):
    """A job with its W&B record, ended after `delay` seconds; the program, and whether it was old enough to have a handler."""
    program = Program(folder, *SMALL)
    time.sleep(delay)
    began = (folder / "run" / "job.json").exists()
    program.send(sent)
    output = program.wait()
    assert "Traceback" not in output or not began, output
    # before the package is imported, a signal does what it does to every Python program; a job that is over has ended well
    allowed = {STATUS[sent]} if began else {STATUS[sent], -sent, 1}
    over = began and read_job(folder / "run").state == "done"
    assert program.process.returncode in allowed | ({0, -sent} if over else set()), output
    assert program.leaves_nothing(temporary=began), list(program.temporary.rglob("*"))
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(("sent", "delay"), [(signal.SIGINT, 9.0), (signal.SIGTERM, 14.0)], ids=["SIGINT", "SIGTERM"])
def test_a_job_ends_by_a_signal(sent, delay, tmp_path):
    interrupted_at(delay, sent, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(30))
def test_a_job_ends_by_a_signal_at_any_moment(seed, tmp_path):
    draw = random.Random(seed)
    interrupted_at(draw.uniform(0.5, 25.0), draw.choice(list(STATUS)), tmp_path)


def test_what_a_killed_job_left_in_the_temporary_folder_goes_with_the_next(tmp_path):
    program = Program(tmp_path, *SMALL)
    until(lambda: list(program.temporary.rglob("*wandb-media")))
    program.send(signal.SIGKILL)
    program.wait()
    assert program.leaves_nothing(temporary=False)
    (own,) = (path for path in program.temporary.glob("ccs_exp_jobs_*/*") if path.is_dir())
    assert list(program.temporary.iterdir()) == [own.parent]
    assert Program(tmp_path, *SMALL).wait() and not list(program.temporary.iterdir())


def stages_run(folder, numbers):
    return all((record := read_job(folder / str(number))) and record.stage for number in numbers)


@pytest.mark.full
def test_a_sweeps_processes_end_with_their_killed_leader(tmp_path):
    program = Program(tmp_path, "-m", *LONG, "seed=0,1", "hydra/launcher=parallel", "hydra.sweep.dir=sweep")
    until(lambda: stages_run(tmp_path / "sweep", (0, 1)))
    program.process.kill()
    program.wait()
    assert program.leaves_nothing(temporary=False)
    assert {read_job(tmp_path / "sweep" / str(number)).state for number in (0, 1)} == {"interrupted"}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["several devices", "decoding processes", "sweep"])
def test_whichever_process_is_killed_the_rest_ends_and_says_so(kind, seed, tmp_path):
    """Of a pass that several share, that others decode for, and of a sweep: the command fails in words, or does its work all the same."""
    of_kind = {
        "several devices": ["trainer.devices=2", "hydra.run.dir=run"],
        "decoding processes": ["num_workers=2", "hydra.run.dir=run"],
        "sweep": ["-m", "seed=0,1", "hydra/launcher=parallel", "hydra.sweep.dir=run", "dataset.source.num_images=300"],
    }[kind]
    program = Program(tmp_path, *LONG, *of_kind)
    draw = random.Random(seed)
    until(lambda: len(program.running()) >= 3 or program.process.poll() is not None)
    time.sleep(draw.uniform(0.0, 15.0))
    victims = program.running()
    assert victims
    victim = draw.choice(victims)
    victim.kill()
    leader = victim.pid == program.process.pid
    if not leader and kind == "sweep":
        output = program.wait()
        assert program.process.returncode in (0, 1), output
    elif not leader:
        # what no part of the pass needs may go unnoticed; then it is long
        try:
            output = program.process.communicate(timeout=30)[0]
            assert program.process.returncode == 1 and "Error: " in output and "Traceback" not in output, output
        except subprocess.TimeoutExpired:
            program.send(signal.SIGTERM)
            program.wait()
    else:
        program.wait()
    assert program.leaves_nothing(temporary=False)


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    child = "import sys, time; from ccs_exp.compute.parent import end_with; end_with(int(sys.argv[1])); "
    child += "print('here', flush=True); time.sleep(600)"
    parent = f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])"
    program = Program(tmp_path, code=parent)
    assert program.process.stdout.readline() == "here\n"
    assert len(program.running()) == 2
    program.process.kill()
    assert program.leaves_nothing()


def test_folders_of_living_processes_stay(tmp_path):
    code = """
        from ccs_exp.compute.temporary import use_own_folder
        import sys, tempfile; use_own_folder(); print(tempfile.gettempdir(), flush=True); sys.stdin.read()
    """
    environment = os.environ | {"TMPDIR": str(tmp_path)}

    def start():
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    first, second = start(), start()
    folders = [Path(process.stdout.readline().strip()) for process in (first, second)]
    assert len({*folders}) == 2 and all(folder.is_dir() and folder.parent.parent == tmp_path for folder in folders)
    first.kill()
    first.wait()
    third = start()
    left = Path(third.stdout.readline().strip())
    assert not folders[0].exists() and folders[1].is_dir() and left.is_dir()
    for process in (second, third):
        process.communicate("")
    assert not list(tmp_path.iterdir())
