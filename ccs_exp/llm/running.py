"""Runs a coroutine to its end from ordinary code: interrupted cleanly, and also inside a notebook, whose event loop is running."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ccs_exp.journal import stop


def run_to_the_end(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The result of `work`. Signals that stop a program cancel it, let it clean up, and then act as they would have."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(work)
    return _run_in_a_thread(work)


def _run_here(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """With signals made cancellations: what a handler raises in the middle of an event loop ends in a heap of tracebacks."""
    received: list[signal.Signals] = []
    here = threading.current_thread() is threading.main_thread() and os.name == "posix"
    before = {sent: signal.getsignal(sent) for sent in stop.SIGNALS} if here else {}
    taken = [sent for sent, handler in before.items() if callable(handler) or handler is signal.SIG_DFL]  # what is ignored stays so

    async def run() -> Any:
        task = asyncio.current_task()
        assert task is not None  # this one

        def cancel(sent: signal.Signals) -> None:
            received.append(sent)
            task.cancel()

        for sent in taken:
            asyncio.get_running_loop().add_signal_handler(sent, cancel, sent)
        return await work()

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for sent in taken:
            signal.signal(sent, before[sent])
    signal.raise_signal(received[0])
    raise asyncio.CancelledError  # by a handler that returns


def _run_in_a_thread(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()
    running: list[asyncio.Task[Any] | None] = []

    async def run() -> Any:
        running.append(asyncio.current_task())
        return await work()

    def target() -> Any:
        with runner:
            return runner.run(run())

    with ThreadPoolExecutor(1) as thread:  # whose end waits for what was cancelled to clean up
        result = thread.submit(target)
        try:
            return result.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in running if task is not None])
            raise
