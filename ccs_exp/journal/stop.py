"""Ctrl-C, SIGTERM and the end of the terminal: an exception at once, and a flag that stays.

Python drops an exception that a signal raises within a weak reference's callback or a finaliser, and libraries turn it into others, so
stages, batches and cells look at the flag.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_told: signal.Signals | None = None


def listen() -> None:
    """Take these signals from here on; one that this process was told to ignore stays ignored. Does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for sent in SIGNALS:
            if signal.getsignal(sent) is not signal.SIG_IGN:
                signal.signal(sent, tell)


def tell(sent: int, _frame: FrameType | None = None) -> None:
    """The handler: remember the signal, and raise what it stands for."""
    global _told
    _told = signal.Signals(sent)
    check()


def told() -> signal.Signals | None:
    """The signal that told this process to stop."""
    return _told


def status() -> int | None:
    """The exit status of a program that was told to stop."""
    return None if _told is None else 128 + _told


def check() -> None:
    """Raise KeyboardInterrupt or SystemExit where this process was told to stop."""
    if _told is signal.SIGINT:
        raise KeyboardInterrupt
    if _told is not None:
        raise SystemExit(status())
