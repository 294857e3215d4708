"""A process's own temporary folder: libraries leave files in the system's when they are killed, and nobody would find those again."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_OTHERS = ("/tmp", "/var/tmp")
_LONGEST = 64  # bytes of a folder in which sockets of libraries can lie: their paths may have 103, of which PyTorch takes 34

_lock: FileLock | None = None  # held for as long as this process lives, and by no clock or process number


def users_folder(purpose: str) -> Path:
    """Below the system's temporary folder, one for what this user's processes on this machine share. It may be missing.

    Where paths of sockets in it would be too long, as with a cluster's TMPDIR, it is below the usual one, as in newer Pythons
    (python/cpython#132124): decoding processes could hand over no batch, and the pass would wait for ever.
    """
    system = Path(tempfile.gettempdir())
    if system.parent.name == _name("jobs"):  # a process's own, of this one or of its parent
        system = system.parent.parent
    return next((place for place in (system, *map(Path, _OTHERS)) if _usable(place)), system) / _name(purpose)


def use_own_folder() -> None:
    """From here on, temporary files of this process and its children go to a folder that ends with it.

    Folders of processes that were killed are taken away first. Where the system's temporary folder cannot be used so, it is used as it is.
    """
    global _lock
    if _lock is not None:
        return
    home, name = users_folder("jobs"), _own_name()
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        if home.stat().st_uid != os.getuid():
            return
        clear_left()
        lock = FileLock(home / f"{name}.lock")
        lock.acquire()
        (home / name).mkdir(mode=0o700)
    except OSError:
        return
    _lock = lock
    tempfile.tempdir = os.environ["TMPDIR"] = str(home / name)
    atexit.register(remove_own_folder)


def remove_own_folder() -> None:
    """For a process that ends without Python's own exit; otherwise it happens there."""
    if _lock is not None:
        _remove(_lock)


def clear_left() -> None:
    """Take away the folders of processes that were killed."""
    home = users_folder("jobs")
    for path in {*home.glob("*.lock"), *(folder.with_suffix(".lock") for folder in home.glob("*/"))}:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:  # its process lives
            continue
        _remove(lock)


def _own_name() -> str:
    return uuid.uuid4().hex[:8]


def _usable(system: Path) -> bool:
    return len(os.fsencode(system / _name("jobs") / _own_name())) <= _LONGEST and os.access(system, os.W_OK | os.X_OK)


def _name(purpose: str) -> str:
    return f"ccs_exp_{purpose}_{os.getuid()}"


def _remove(lock: FileLock) -> None:
    path = Path(lock.lock_file)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    path.unlink(missing_ok=True)  # while it is held, so that nobody takes it for a living one's
    lock.release()
    with suppress(OSError):  # others use it
        path.parent.rmdir()
