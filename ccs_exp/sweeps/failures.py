"""Jobs of a sweep that failed: each says so in its folder, whichever process ran it, and the sweep lists them at its end."""

from __future__ import annotations

from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole

FILE = "failed.txt"

_sweep: list[Path] = []  # the folder of the sweep that this process leads


def begin(sweep_dir: Path) -> None:
    """This process leads the sweep in `sweep_dir`; jobs may run in others. Where the folder is used again, what failed is tried again."""
    _sweep[:] = [sweep_dir]
    for left in of_this_sweep():
        left.unlink(missing_ok=True)


def record(run_dir: str, job: str, reason: str) -> None:
    """Write down why a job failed; where its folder cannot be written, the log alone has it."""
    try:
        write_whole(Path(run_dir) / FILE, f"{job}: {reason}\n".encode())
    except CcsError:
        return


def forget(run_dir: str) -> None:
    """The job is tried again."""
    try:
        (Path(run_dir) / FILE).unlink(missing_ok=True)
    except OSError:
        return  # the run folder's own check says what is wrong with it


def of_this_sweep() -> list[Path]:
    """What jobs of the sweep that this process leads have recorded, in the order of their folders."""
    found = [path for folder in _sweep for path in folder.rglob(FILE)]
    return sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))


def report() -> str:
    """All failed jobs with their reasons."""
    lines = [f"  {path.parent.name}  {path.read_text(encoding='utf-8').strip()}" for path in of_this_sweep()]
    count = f"{len(lines)} job{'s' if len(lines) > 1 else ''} of the sweep {_sweep[0]} failed:"
    return "\n".join([f"Error: {count}", *lines, "The same command tries again what failed, and only that: what is done is kept."])
