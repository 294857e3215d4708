"""``ccs-exp`` in this process, which has imported what a program of its own would take seconds to import."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from hydra.core.global_hydra import GlobalHydra

from ccs_exp import __main__ as command_line
from ccs_exp.sweeps import failures


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Whatever a command does to logging, signals and the environment is undone; a temporary folder of its own it does not get."""
    root, handled = logging.getLogger(), {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers, level = root.handlers[:], root.level
    state = GlobalHydra.instance()
    theirs, state.hydra = state.hydra, None  # a test's own
    failures._sweep.clear()
    try:
        with patch.dict(os.environ), patch.object(command_line, "use_own_folder"):
            yield
    finally:
        state.hydra = theirs
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        root.handlers[:], root.level = handlers, level
        for number, handler in handled.items():
            signal.signal(number, handler)


def ccs_exp(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command does with `arguments` in the folder `cwd`; an exception that a program would end with is raised."""
    output, errors, status = io.StringIO(), io.StringIO(), 0
    words = ["ccs-exp", *arguments]
    environment = {"PWD": str(cwd)} | environment
    with left_as_it_was(), chdir(cwd), redirect_stdout(output), redirect_stderr(errors), patch.object(sys, "argv", words):
        os.environ.update(environment)
        try:
            command_line.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
    return subprocess.CompletedProcess(words, status, output.getvalue(), errors.getvalue())
