"""The processes that decode for a pass: whichever is lost, at whichever moment, the pass ends and says so, once, and the others with it.

PyTorch tells of a loss in many ways: in a signal's handler, whose exception comes up anywhere in the main thread and is dropped by Python
within callbacks; by a batch that cannot be fetched from where the lost process had left it; in the thread that moves batches to a GPU;
and not at all where a batch could not be sent.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.queues import Queue
from types import TracebackType
from typing import Any, NoReturn
from weakref import WeakSet

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from ccs_exp.errors import CcsError, system_error

log = logging.getLogger(__name__)

_running: WeakSet[Any] = WeakSet()  # iterators of loaders with processes


class DecodingLoader(DataLoader[Any]):
    """A `DataLoader` that raises `CcsError` where one of its processes is lost, within `losses_in_words`."""

    def __init__(self, dataset: Any, **options: Any):
        super().__init__(dataset, worker_init_fn=_end_unheard, **options)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return _batches(super().__iter__()) if self.num_workers else super().__iter__()


@contextmanager
def losses_in_words() -> Iterator[None]:
    """Raises `CcsError` for a decoding process that is lost within it; those that began within it end with it."""
    of_threads, of_callbacks, before = threading.excepthook, sys.unraisablehook, list(_running)

    def in_thread(found: threading.ExceptHookArgs) -> None:
        if found.thread is not None and "_pin_memory_loop" in found.thread.name:
            log.debug("Batches are not moved to the GPU any more.", exc_info=found.exc_value)
        else:
            of_threads(found)

    def in_callback(found: sys.UnraisableHookArgs) -> None:
        if _tells_of_loss(found.exc_value):
            log.debug("A loss was noticed in a callback.", exc_info=found.exc_value)
        else:
            of_callbacks(found)

    # before Lightning notes which handlers to put back after a pass: PyTorch sets its own once, and would be without from then on
    signal_handling._set_SIGCHLD_handler()
    threading.excepthook, sys.unraisablehook = in_thread, in_callback
    try:
        try:
            yield
        finally:
            for iterator in [one for one in _running if one not in before]:
                with suppress(RuntimeError):  # of a loss, now that the pass is over
                    iterator._shutdown_workers()
    except RuntimeError as error:
        if _tells_of_loss(error):
            raise _lost(error) from error
        raise
    finally:
        threading.excepthook, sys.unraisablehook = of_threads, of_callbacks


def _batches(iterator: Iterator[Any]) -> Iterator[Any]:
    _running.add(iterator)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            if str(error).startswith("Caught "):  # by a decoding process, which lives
                raise
            raise _lost(error) from error
        yield batch


def _tells_of_loss(error: BaseException | None) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith(("DataLoader worker (pid", "Pin memory thread"))


def _lost(error: Exception) -> CcsError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return CcsError(
        f"A process that decodes images has ended: {reason.removesuffix('.')}. If it was killed for memory, set num_workers "
        "lower; num_workers=0 decodes in the job's own process."
    )


def _end_unheard(_worker: int) -> None:
    """For each decoding process as it begins: it ends where it cannot hand over a batch.

    Left alone, Python's queue and what sends open files would print a traceback and go on without the batch (the temporary folder is full
    or gone, too many files are open), and the pass would wait for it for ever. `concurrent.futures` hears of it by the same hook.
    """
    Queue._on_queue_feeder_error = staticmethod(_end)  # type: ignore[attr-defined]
    sys.excepthook = _while_fetched


def _while_fetched(_kind: type[BaseException], error: BaseException, _where: TracebackType | None) -> None:
    if not isinstance(error, ConnectionError | EOFError):  # those are of who fetches it, and has gone
        _end(error, None)


def _end(error: BaseException, _batch: Any) -> NoReturn:
    reason = system_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    print(f"A process that decodes images cannot hand them over. {reason}", file=sys.stderr, flush=True)
    os._exit(1)
