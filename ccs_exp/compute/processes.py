"""The processes that share a job: how many there should be, who this one is, and which part of a pass is its own. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

from ccs_exp.errors import CcsError

T = TypeVar("T")
OURS = "us"
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
    rounds: Iterable[tuple[Any, ...]] = zip_longest(*shares, fillvalue=_ABSENT)
    return [item for item in chain.from_iterable(rounds) if item is not _ABSENT]


@dataclass(frozen=True)
class Place:
    """One of several processes that `by` (torchrun, srun or `OURS`) started on this job; `local_rank` counts those on this machine, and
    `sharing` is how many use the cores that this one may use.
    """

    rank: int
    local_rank: int
    world: int
    by: str
    sharing: int

    def of_machine(self, count: int) -> int:
        """Of `count` threads or helpers on this machine those of this process: its part, and one at least where there are any."""
        return count and max(1, count // self.sharing)


def started() -> Place | None:
    """This process's place among those that torchrun, or a step of Slurm's srun, started together; None: it is alone."""
    sharing = 1  # srun gives each of its processes cores of its own
    if "TORCHELASTIC_RUN_ID" in os.environ:
        names, by = ("RANK", "LOCAL_RANK", "WORLD_SIZE"), "torchrun"
        sharing = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    elif "SLURM_STEP_NUM_TASKS" in os.environ:  # only in a step: a batch script itself is one process, whatever it asked for
        names, by = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"), "srun"
    else:
        return None
    rank, local_rank, world = (int(os.environ[name]) for name in names)
    return Place(rank, local_rank, world, by, sharing) if world > 1 else None


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
