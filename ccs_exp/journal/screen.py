"""What people see of a job: streams that never end it, warnings in one line, progress bars."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import unicodedata
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN = {"−": "-", "–": "-", "—": "-", "·": "-", "•": "-", "×": "x", "█": "#", "▏": "|", "’": "'", "“": '"', "”": '"', "→": "->"}
_NARROW = 60  # columns, below which a bar would push its numbers off the line


class Warnings(logging.Handler):
    """A log record as a line for people; its traceback is in the log file. Progress bars that are shown make room for it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(f"{record.levelname.capitalize()}: {record.getMessage()}", file=sys.stderr)
        except Exception:  # as every handler of logging: a message that cannot be formatted ends no job
            self.handleError(record)


class _Stream(io.TextIOWrapper):
    """Goes on where the other end is gone or its disk full: what is said from then on is lost, and nothing else."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            self._turn_away()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._turn_away()

    def _turn_away(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def make_lasting() -> None:
    """Whatever a terminal, pipe or file does or cannot show, printing raises nothing from here on."""
    codecs.register_error("plain", _plain)
    logging.raiseExceptions = False  # a log file on a full disk has no place for a line, and nobody a use for a traceback of that
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)


def progress(unit: str, shown: bool = True) -> Progress:
    """A bar that says how many of which things are done; use it as a context, with one task. Where it is not `shown` it says nothing."""
    console = Console(stderr=True)
    if console.is_jupyter:  # where rich shows nothing without ipywidgets; lines that are written over show everywhere
        console = Console(stderr=True, force_jupyter=False, force_terminal=True)
    bar = [] if console.width < _NARROW else [BarColumn(bar_width=20)]
    amount = TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}")
    columns = (TextColumn("{task.description}"), *bar, amount, TimeRemainingColumn(elapsed_when_finished=True))
    # a step of a slow pass takes a minute; over rich's half a minute nothing would be known of what remains
    return Progress(*columns, console=console, disable=not shown, speed_estimate_period=600)


def _lasting(stream: TextIO) -> TextIO:
    if type(stream) is not io.TextIOWrapper:  # a notebook's, a test's, or one of ours
        return stream
    stream.flush()
    return _Stream(stream.buffer, stream.encoding, "plain", line_buffering=stream.line_buffering, write_through=stream.write_through)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """In place of what an encoding does not have: its like in ASCII, or a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    alike = [_PLAIN.get(sign) or unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?" for sign in signs]
    return "".join(alike), error.end
