"""Intervals and figures by a process of their own, while the job still computes: at its end they are there.

It saves seconds, and nothing depends on it: where it cannot be started, fails or is lost, the job makes them itself.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, cast

from ccs_exp.compute.parent import end_with, import_paths, python
from ccs_exp.files.whole import rounded
from ccs_exp.journal import stop

log = logging.getLogger(__name__)

_CHILD = "from ccs_exp.report.beside import child; child()"
_KNOWN = ("model", "dataset", "metric", "robustness")  # what intervals and figures want to know of a summary, before there is one
_PATIENCE_S = 900.0  # of 50,000 images under hundreds of conditions, intervals take minutes
_END_S = 5.0


class Beside:
    """Makes ``uncertainty.csv`` and ``figures/*.png`` of a run folder, part by part; within ``with`` it is there, unless not `wanted`.

    `summary` gives the content of ``summary.json`` as far as it is known.
    """

    def __init__(self, run_dir: Path, summary: Callable[[], Mapping[str, Any]], wanted: bool = True):
        self._run_dir, self._summary, self._wanted = run_dir, summary, wanted
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._wanted:
            summary = self._summary()
            known = json.dumps(rounded({name: summary[name] for name in _KNOWN}))
            with suppress(OSError):  # no process or memory is to be had
                self._process = subprocess.Popen(
                    python(_CHILD, os.getpid(), self._run_dir),
                    env=os.environ | import_paths(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            self._tell(known)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()  # does nothing where it has ended
        self._ended_well(_END_S)

    def conditions(self) -> None:
        """Begin with intervals, and the figures of conditions: ``accuracy.csv`` and the predictions are in the folder."""
        self._tell("conditions")

    def heads(self) -> None:
        """Begin with the figures of heads, the last part: scores and evidence are in the folder."""
        self._tell("heads")
        self._no_more()

    def done(self) -> bool:
        """Waits for what was begun; False where it is to be made again."""
        return self._ended_well(_PATIENCE_S)

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it has ended
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()

    def _no_more(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def _ended_well(self, patience: float) -> bool:
        if self._process is None:
            return False
        self._no_more()
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status:
            log.debug("The process that makes intervals and figures has ended with status %d.", status)
        return status == 0


def child() -> NoReturn:
    """What the process does, until its input ends or its parent is gone: the first line is of the summary, each other names a part."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    stop.listen()  # to SIGTERM, and to the end of the terminal, which reaches both: so that no half of a file is left
    end_with(int(sys.argv[1]))
    run_dir, known = Path(sys.argv[2]), json.loads(sys.stdin.readline())

    from ccs_exp.report.contents import gather
    from ccs_exp.report.figures import write_figures_of_conditions, write_figures_of_heads
    from ccs_exp.report.uncertainty import write_uncertainty
    from ccs_exp.run_folder.summary import Summary

    summary = cast(Summary, dict.fromkeys(Summary.__annotations__) | known)
    for line in sys.stdin:
        if line == "conditions\n":
            write_figures_of_conditions(gather(run_dir, write_uncertainty(run_dir, summary), summary))
        elif line == "heads\n":
            write_figures_of_heads(gather(run_dir, (), summary))
        else:
            sys.exit(f"{line!r} is no part of a report")
    sys.exit(0)
