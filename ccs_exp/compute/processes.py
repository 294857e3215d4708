"""The processes that share a job: how many there should be, who this one is, and which part of a pass is its own. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TypeVar

from ccs_exp.errors import CcsError

T = TypeVar("T")
_ABSENT = object()


@dataclass(frozen=True)
class Share:
    """Every `of`-th part of a pass, from the `rank`-th on. Parts are whole batches, so that a batch holds the same samples whoever
    computes it: single-precision results depend on what is computed together.
    """

    rank: int = 0
    of: int = 1

    def parts(self, count: int) -> range:
        """Which of `count` parts are this share's."""
        return range(self.rank, count, self.of)


def in_order(shares: Sequence[Sequence[T]]) -> list[T]:
    """What each share found, part by part, as one process would have found it.

    >>> in_order([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    return [item for item in chain.from_iterable(zip_longest(*shares, fillvalue=_ABSENT)) if item is not _ABSENT]


@dataclass(frozen=True)
class Place:
    """One of several processes that `by` started on this job; `local_rank` counts those on this machine."""

    rank: int
    local_rank: int
    world: int
    by: str


def started() -> Place | None:
    """This process's place among those that torchrun, or a step of Slurm's srun, started together; None: it is alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        names, by = ("RANK", "LOCAL_RANK", "WORLD_SIZE"), "torchrun"
    elif "SLURM_STEP_NUM_TASKS" in os.environ:  # only in a step: a batch script itself is one process, whatever it asked for
        names, by = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"), "srun"
    else:
        return None
    rank, local_rank, world = (int(os.environ[name]) for name in names)
    return Place(rank, local_rank, world, by) if world > 1 else None


def check_processes(devices: int | str, num_nodes: int) -> None:
    """Raise `CcsError` where ``trainer.devices`` and ``trainer.num_nodes`` ask for processes that nobody started."""
    whole = isinstance(devices, int) and not isinstance(devices, bool) and devices >= 1
    if not whole and devices != "auto":
        raise CcsError(f"trainer.devices={devices}: give a number of at least 1, or auto for all GPUs.")
    if num_nodes < 1:
        raise CcsError(f"trainer.num_nodes={num_nodes}: give a number of at least 1.")
    place = started()
    if place is None and num_nodes > 1:
        each = devices if whole else "DEVICES"
        raise CcsError(
            f"trainer.num_nodes={num_nodes} needs a process for each device of each node, started together. Put before the command "
            f"`srun --nodes={num_nodes} --ntasks-per-node={each}`, or start it on each node by `torchrun "
            f"--nnodes={num_nodes} --nproc-per-node={each} -m ccs_exp ...`."
        )
    if place is not None and not whole:
        raise CcsError(
            f"trainer.devices={devices}: {place.by} started {place.world} processes; say how many there are on each node."
        )
    if place is not None and place.world != devices * num_nodes:
        raise CcsError(
            f"{place.by} started {place.world} processes, but trainer.devices={devices} x trainer.num_nodes={num_nodes} are "
            f"{devices * num_nodes}. Set them to what was started; to run several jobs at once, start each by itself."
        )
