"""Signs of life among processes that something else has started, on machines where this one sees no process: one that is killed is told
from one that is slow.
"""

from __future__ import annotations

import threading
import time

from torch import distributed

from ccs_exp.compute.processes import Place
from ccs_exp.errors import CcsError

BEAT_S = 2.0
SILENT_S = 60.0  # a process that is swapped out, or waits for a slow disk, is not dead


class Heartbeat:
    """Counts in the store that all share, from a thread: a pass may take its time between two batches."""

    def __init__(self, store: distributed.Store, place: Place):
        self._store, self._place = store, place
        self._seen = {rank: (0, time.monotonic()) for rank in range(place.world) if rank != place.rank}
        self._looked = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="heartbeat of the group", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def check(self) -> None:
        """Raise `CcsError` where another process has been silent for too long."""
        now = time.monotonic()
        if now - self._looked < BEAT_S:
            return
        self._looked = now
        for rank, (count, since) in self._seen.items():
            found = self._store.add(_key(rank), 0)
            if found != count:
                self._seen[rank] = found, now
            elif now - since > SILENT_S:
                raise CcsError(
                    f"Process {rank} of {self._place.world}, started by {self._place.by}, has not been heard of for {SILENT_S:.0f} s. Was "
                    "it killed, for memory perhaps? See its log; the same command starts the job again."
                )

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._store.add(_key(self._place.rank), 1)
            except RuntimeError:  # the store is gone, and with it the first process
                return


def _key(rank: int) -> str:
    return f"alive/{rank}"
