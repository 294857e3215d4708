"""Computing what is not kept yet: once, however many jobs need it at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from ccs_exp.store.entries import Members, cache_dir, key_digest, read_entry, write_entry

Value = TypeVar("Value")

_LOOK_AGAIN_S, _SAY_SO_AFTER_S = 0.2, 2.0

log = logging.getLogger(__name__)


class Stages:
    """Which stages of a job were computed, and which came from the store: a pass over data or a TEXTSPAN run each."""

    def __init__(self) -> None:
        self.computed: list[str] = []
        self.from_store: list[str] = []

    def note(self, stage: str, *, computed: bool) -> None:
        log.info("%s: %s", stage, "computed" if computed else "from the store")
        (self.computed if computed else self.from_store).append(stage)


def kept(
    kind: str,
    key: Mapping[str, Any] | None,
    compute: Callable[[], Value],
    pack: Callable[[Value], Members],
    unpack: Callable[[Members], Value],
    stages: Stages | None = None,
) -> Value:
    """The value kept under `key`, or else computed, kept and noted in `stages`. `key` None: it is computed, and not kept.

    `unpack` reads what `pack` wrote, does nothing else, and gives no None; it raises on any other layout, which is then computed again.
    """
    value = None if key is None else read_entry(kind, key, unpack)
    if value is None:
        with locked(kind, key):
            # what another job has computed while this one waited
            value = None if key is None else read_entry(kind, key, unpack)
            if value is None:
                value = compute()
                if stages is not None:
                    stages.note(kind, computed=True)
                if key is not None:
                    write_entry(kind, key, pack(value))
                return value
    if stages is not None:
        stages.note(kind, computed=False)
    return value


@contextmanager
def locked(kind: str, key: Mapping[str, Any] | None) -> Iterator[None]:
    """Hold the lock of an entry; wait while another process computes it.

    The lock is the operating system's (flock), so it ends with its process, however that ends, and no clock takes part. Over NFS the
    server holds it (NFSv4, or lockd) and gives it back when the client's lease ends; on a file system without locks, filelock turns to
    lock files, which it gives up on when their process is gone. Where there is no lock at all (a store that can only be read), jobs
    compute side by side: every file is whole all the same.
    """
    lock = None
    if key is not None:
        path = cache_dir() / "locks" / f"{kind.replace('/', '-')}-{key_digest(key)}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, thread_local=False)
            _wait(lock, kind)
        except OSError as error:
            log.debug("%s cannot be locked: %s", path, error)
            lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _wait(lock: FileLock, kind: str) -> None:
    try:
        lock.acquire(timeout=_SAY_SO_AFTER_S, poll_interval=_LOOK_AGAIN_S)
    except Timeout:
        log.warning("%s: another job is computing the same; waiting for it (%s)", kind, lock.lock_file)
        lock.acquire(poll_interval=_LOOK_AGAIN_S)
