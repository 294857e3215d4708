"""A process that works for another ends when that one is gone: a killed parent tells nobody, and would leave work and locks behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import psutil

_LOOK_S = 0.5
_PATIENCE_S = 5.0  # in which what is under way may end by itself: files whole, the job on record


def python(code: str, *arguments: object) -> list[str]:
    """The command that runs `code` by this interpreter; what lies in the working folder is imported only where it is here."""
    return [sys.executable, "-P", "-c", code, *map(str, arguments)]


def import_paths() -> dict[str, str]:
    """The environment in which another process imports what this one does."""
    # what is no text, as a `Path` that somebody has put there, Python does not look into either
    paths = dict.fromkeys(path or os.getcwd() for path in sys.path if isinstance(path, str))
    return {"PYTHONPATH": os.pathsep.join(paths)}


def end_with(parent: int) -> None:
    """End this process soon after `parent`, which started it, has ended: by SIGTERM, and if that does not help by force."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_S)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


_WATCH = """
import sys, psutil
processes = [psutil.Process(int(pid)) for pid in sys.argv[1:] if psutil.pid_exists(int(pid))]
sys.stdin.read()
for process in filter(psutil.Process.is_running, processes):
    process.kill()
"""


def killed_after(processes: Iterable[psutil.Process]) -> subprocess.Popen[bytes]:
    """A process that kills `processes` as soon as its input ends: by this process, or with it, however that ends."""
    command, environment = python(_WATCH, *(process.pid for process in processes)), os.environ | import_paths()
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)  # out of reach of Ctrl-C
