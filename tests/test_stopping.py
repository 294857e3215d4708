"""Signals at any moment: the status of the signal, and nothing left running or in the temporary folder."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from pathlib import Path

import psutil
import pytest
from small_jobs import ONE_TASK

from ccs_exp.journal.state import read_job
from ccs_exp.run_folder.folder import RunFolder

SMALL = [ONE_TASK, "device=cpu", "dataset.source.num_images=300", "probe.num_images=400", "prune=high_ccs", "hydra.run.dir=run"]
SMALL += ["evidence.reading=true"]  # with a process beside it
LONG = [ONE_TASK, "device=cpu", "tracker=none", "dataset.source.num_images=20000", "probe.num_images=400", "prune=high_ccs"]
MARK = "CCS_EXP_TEST_OF_STOPPING"
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class Program:
    """A command in a session, with a store and a temporary folder of its own."""

    def __init__(self, folder, temporary, *arguments, code="from ccs_exp.__main__ import main; main()"):
        self.temporary, self.mark = temporary, uuid.uuid4().hex
        environment = os.environ | {"TMPDIR": str(self.temporary), "CCS_EXP_CACHE": str(folder / "store"), MARK: self.mark}
        environment |= {"OMP_NUM_THREADS": "2"}  # enough for a process beside
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's background jobs ignore it
        )  # fmt: skip

    def send(self, sent):
        """As a terminal does for Ctrl-C and at its end: to all; as `kill` does: to one."""
        (os.kill if sent is signal.SIGTERM else os.killpg)(self.process.pid, sent)

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


@pytest.fixture
def temporary():
    """A folder with so short a path that temporary files stay in it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def program(tmp_path, temporary):
    """Starts programs in the test's folder; none outlives the test, whatever it finds."""
    started = []

    def start(*arguments, **more):
        started.append(Program(tmp_path, temporary, *arguments, **more))
        return started[-1]

    yield start
    for one in started:
        for process in one.running():
            process.kill()


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


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_a_callback_that_drops_exceptions_ends_a_sweep(sent, program, tmp_path):
    several = [override for override in SMALL if not override.startswith(("hydra", "probe"))]
    several += ["probe.num_images=150", "tracker=none", "seed=0,1", "hydra.sweep.dir=sweep"]
    sweep = program("-m", *several, code=IN_A_CALLBACK.format(name=sent.name))
    output = sweep.wait()
    assert sweep.process.returncode == STATUS[sent], output
    assert "Exception ignored" in output  # Python has dropped it
    assert read_job(tmp_path / "sweep" / "0").state == "interrupted" and not (tmp_path / "sweep" / "1").exists()
    assert sweep.leaves_nothing()


def check_interruption(job, sent, folder):
    """A job with its W&B record, told to stop, ends by the signal and leaves nothing."""
    began = (folder / "run" / "job.json").exists()
    job.send(sent)
    output = job.wait()
    assert "Traceback" not in output or not began, output
    # before the package is imported, a signal does what it does to every Python program; a job that is over has ended well
    allowed = {STATUS[sent]} if began else {STATUS[sent], -sent, 1}
    over = began and read_job(folder / "run").state == "done"
    assert job.process.returncode in allowed | ({0, -sent} if over else set()), output
    assert job.leaves_nothing(temporary=began), list(job.temporary.rglob("*"))
    assert not list(folder.rglob("*.part"))


def test_a_job_ends_by_a_signal(program, tmp_path):
    """Within the pass over the data set, which is a long one."""
    job = program(*SMALL, "dataset.source.num_images=6000")
    until(lambda: ((record := read_job(tmp_path / "run")) and record.stage == "evaluate") or job.process.poll() is not None)
    check_interruption(job, signal.SIGINT, tmp_path)
    assert job.process.returncode == STATUS[signal.SIGINT] and not (tmp_path / "run" / "summary.json").exists()
    assert len(RunFolder(tmp_path / "run").read_heads()) == 32


@pytest.mark.full
@pytest.mark.parametrize("seed", range(30))
def test_a_job_ends_by_a_signal_at_any_moment(seed, program, tmp_path):
    draw = random.Random(seed)
    job, delay, sent = program(*SMALL), draw.uniform(0.5, 25.0), draw.choice(list(STATUS))
    time.sleep(delay)
    check_interruption(job, sent, tmp_path)


@pytest.mark.full
def test_what_a_killed_job_left_in_the_temporary_folder_goes_with_the_next(program):
    killed = program(*SMALL)
    until(lambda: list(killed.temporary.rglob("*wandb-media")))
    killed.process.kill()
    killed.wait()
    assert killed.leaves_nothing(temporary=False)
    (own,) = (path for path in killed.temporary.glob("ccs_exp_jobs_*/*") if path.is_dir())
    assert list(killed.temporary.iterdir()) == [own.parent]
    assert program(*SMALL).wait() and not list(killed.temporary.iterdir())


@pytest.mark.full
def test_a_sweeps_processes_end_with_their_killed_leader(program, tmp_path):
    sweep = program("-m", *LONG, "dataset=scenes_shape,scenes_size", "hydra/launcher=parallel", "hydra.sweep.dir=sweep")
    folders = [tmp_path / "sweep" / str(number) for number in range(2)]
    until(lambda: all((record := read_job(folder)) and record.stage == "evaluate" for folder in folders), seconds=300)
    sweep.process.kill()
    sweep.wait()
    assert sweep.leaves_nothing(temporary=False)
    assert {read_job(folder).state for folder in folders} == {"interrupted"}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["devices", "decoders", "sweep"])
def test_whichever_process_is_killed_the_rest_ends_and_says_so(kind, seed, program):
    """Of a pass that several share, of one that others decode for, and of a sweep: the command fails in words, or does its work."""
    of_kind = {
        "devices": ["trainer.devices=2", "hydra.run.dir=run"],
        "decoders": ["num_workers=2", "hydra.run.dir=run"],
        "sweep": ["dataset=scenes_shape,scenes_size", "hydra/launcher=parallel", "hydra.sweep.dir=run", "-m"],
    }[kind]
    draw = random.Random(f"{kind} {seed}")
    size = "dataset.source.num_images=300" if kind == "sweep" else "dataset.source.num_images=20000"
    command = program("device=cpu", "tracker=none", size, "probe.num_images=400", "prune=high_ccs", *of_kind)
    until(lambda: len(command.running()) >= 2 or command.process.poll() is not None)
    time.sleep(draw.uniform(0.0, 15.0))
    victim = draw.choice(command.running())
    what = " ".join(victim.cmdline()[-4:])
    victim.kill()
    try:
        output = command.process.communicate(timeout=120 if kind == "sweep" else 40)[0]
    except subprocess.TimeoutExpired:  # of what the pass does not need, it may notice nothing; it is a long one
        command.send(signal.SIGTERM)
        assert kind != "sweep" and "Traceback" not in command.wait(), what
    else:
        assert command.process.returncode in (-9 if victim.pid == command.process.pid else 1, 0), f"{what}\n{output}"
        assert "Traceback" not in output, f"{what}\n{output}"
    assert command.leaves_nothing(temporary=False), what


def test_a_process_ends_with_the_one_that_started_it(program):
    child = "import sys, time; from ccs_exp.compute.parent import end_with; end_with(int(sys.argv[1])); "
    child += "print('here', flush=True); time.sleep(600)"
    parent = program(code=f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])")
    assert parent.process.stdout.readline() == "here\n" and len(parent.running()) == 2
    parent.process.kill()
    assert parent.leaves_nothing()


def test_folders_of_living_processes_stay(temporary):
    code = """
        from ccs_exp.compute.temporary import use_own_folder
        import sys, tempfile; use_own_folder(); print(tempfile.gettempdir(), flush=True); sys.stdin.read()
    """
    environment = os.environ | {"TMPDIR": str(temporary)}

    def start():
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    first, second = start(), start()
    folders = [Path(process.stdout.readline().strip()) for process in (first, second)]
    assert len({*folders}) == 2 and all(folder.is_dir() and folder.parent.parent == temporary for folder in folders)
    first.kill()
    first.wait()
    third = start()
    left = Path(third.stdout.readline().strip())
    assert not folders[0].exists() and folders[1].is_dir() and left.is_dir()
    for process in (second, third):
        process.communicate("")
    assert not list(temporary.iterdir())
