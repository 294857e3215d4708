"""Calling one function in all processes of a job, and getting from each what it returned.

The first process runs the job; the others wait for calls and do nothing else, so that labels are asked for, files written and runs
tracked once. Within a call no process waits for another: they may have different numbers of batches, and one that fails is noticed by
the others at their next batch. Everything goes through gloo on the CPU, whatever the devices.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from ccs_exp.compute.heartbeat import Heartbeat
from ccs_exp.compute.processes import OURS, Place, Share
from ccs_exp.errors import CcsError
from ccs_exp.journal import stop

CONNECT = timedelta(minutes=10)
POLL_SECONDS = 0.02
_END_SECONDS = 10


class _OthersStopped(Exception):
    """Another process failed, so that this one's share is not needed any more."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in a process; `mendable`: a `CcsError`."""

    text: str
    mendable: bool


@dataclass(frozen=True)
class Member:
    """One process within a call. `go_on` is to be called now and then: it ends the call where another process has failed."""

    share: Share
    place: Place
    go_on: Callable[[], None]


class ProcessGroup:
    """The processes of a job, connected."""

    def __init__(self, store: distributed.Store, place: Place, children: tuple[subprocess.Popen[bytes], ...] = ()):
        self._store, self.place, self._children, self._calls = store, place, children, 0
        self.closed = False
        distributed.init_process_group("gloo", store=store, rank=place.rank, world_size=place.world, timeout=CONNECT)
        self._heartbeat = None if place.by == OURS else Heartbeat(store, place)

    def call(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What ``function(member, *arguments)`` returns in every process, in their order; in this one it gets the very arguments.

        Raises what it raises here, or `CcsError` or RuntimeError for what it raises in another process.
        """
        before = torch.get_num_threads()  # what the user has set for a process is taken as it is
        threads = before if "OMP_NUM_THREADS" in os.environ else self.place.of_machine(before)
        try:
            task = pickle.dumps((function, arguments, threads))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CcsError(f"Several devices need a model and data that other processes can be given: {error}.") from error
        try:
            self._announce(task)
            torch.set_num_threads(threads)
            outcome, failed = self._attempt(function, arguments)
            outcomes = self._collect(outcome)
        except BaseException:
            self.close(kill=True)  # what the others are doing is not known any more
            raise
        finally:
            torch.set_num_threads(before)
        if failed is not None:
            raise failed
        for rank, found in enumerate(outcomes):
            if isinstance(found, Failure):
                raise (
                    CcsError(found.text) if found.mendable else RuntimeError(f"Process {rank} of {len(outcomes)}:\n{found.text}")
                )
        return outcomes

    def follow(self) -> None:
        """Answer the first process's calls until it says that there will be no more."""
        while (task := self._next_task()) is not None:
            function, arguments, threads = pickle.loads(task)  # from our own first process
            torch.set_num_threads(threads)  # the same in all: on a CPU, last digits may depend on it
            self._collect(self._attempt(function, arguments)[0])
            del function, arguments
        if self._heartbeat is not None:
            self._heartbeat.end()
        distributed.destroy_process_group()

    def close(self, kill: bool = False) -> None:
        """End the other processes; with `kill` those on this machine at once."""
        self.closed = True
        if self._heartbeat is not None:
            self._heartbeat.end()
        if not kill:
            with contextlib.suppress(RuntimeError):
                self._announce(None)
        for child in self._children:
            if kill:
                child.terminate()
            try:
                child.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def _announce(self, task: bytes | None) -> None:
        self._check_others()
        self._calls += 1
        self._store.set(f"call/{self._calls}", "end" if task is None else "call")
        if task is not None:
            distributed.broadcast_object_list([task], src=0)

    def _next_task(self) -> bytes | None:
        self._calls += 1
        self._wait_for([f"call/{self._calls}"])
        if self._store.get(f"call/{self._calls}") == b"end":
            return None
        received: list[Any] = [None]
        distributed.broadcast_object_list(received, src=0)
        return received[0]

    def _attempt(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        try:
            member = Member(Share(self.place.rank, self.place.world), self.place, self._go_on)
            return function(member, *arguments), None
        except _OthersStopped:
            return None, None
        except Exception as error:
            self._store.set(f"failed/{self._calls}", "")
            mendable = isinstance(error, CcsError)
            return Failure(str(error) if mendable else traceback.format_exc(), mendable), error

    def _go_on(self) -> None:
        self._check_others()
        if self._store.check([f"failed/{self._calls}"]):
            raise _OthersStopped

    def _collect(self, outcome: Any) -> list[Any]:
        """All outcomes, in the first process. Nobody enters before all are ready, so that signals and deaths are noticed meanwhile."""
        self._store.set(f"ready/{self._calls}/{self.place.rank}", "")
        self._wait_for([f"ready/{self._calls}/{rank}" for rank in range(self.place.world)])
        outcomes = [None] * self.place.world if self.place.rank == 0 else None
        distributed.gather_object(outcome, outcomes, dst=0)
        return outcomes or []

    def _wait_for(self, keys: list[str]) -> None:
        while not self._store.check(keys):
            stop.check()
            self._check_others()
            time.sleep(POLL_SECONDS)

    def _check_others(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.check()
        for rank, child in enumerate(self._children, 1):
            if child.poll() is not None:
                how = f"signal {-child.returncode}" if child.returncode < 0 else f"status {child.returncode}"
                raise CcsError(
                    f"Process {rank} of {self.place.world} has ended ({how}), so the pass cannot be completed. If it was killed for "
                    "memory, set batch_size or trainer.devices lower."
                )
