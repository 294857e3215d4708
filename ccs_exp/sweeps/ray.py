"""Cells as tasks of Ray, on this machine or on a cluster: each in a process of Ray's, and one that dies is one cell without a result."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import psutil
from hydra.core.utils import JobReturn

from ccs_exp.compute.parent import killed_after
from ccs_exp.compute.temporary import clear_left, use_own_folder
from ccs_exp.config.secrets import names_a_secret
from ccs_exp.errors import CcsError
from ccs_exp.journal import stop
from ccs_exp.sweeps.workers import executed

LOCAL = "local"  # Ray's own word for an instance that this process starts
_PATIENCE_S = 10.0
_MEMORY = 100 * 2**20  # bytes of Ray's store of objects on this machine: results are small

log = logging.getLogger(__name__)


def require() -> None:
    """Raise `CcsError` where Ray is not installed."""
    if find_spec("ray") is None:
        raise CcsError("hydra/launcher=ray runs cells on Ray, which is not installed. Type: pip install 'ccs_exp[ray]'.")


class RayTasks:
    """Within it there is a Ray to run cells on: the one at `address`, or one of this process's own, which ends with it.

    Args:
        num_cpus: of each cell, also its threads.
        num_gpus: of each cell; None: one where Ray has any.

    Raises:
        CcsError: there is no Ray at `address`, or none can be started.
    """

    def __init__(self, address: str, at_once: int, num_cpus: int, num_gpus: float | None):
        self.address, self.at_once = address, at_once
        self.num_cpus, self.num_gpus = num_cpus, num_gpus
        self._watch: subprocess.Popen[bytes] | None = None
        self._waiting: dict[Any, int] = {}  # number of the cell by Ray's reference to its result

    def __enter__(self) -> RayTasks:
        import ray

        own: dict[str, Any] = {}
        if self.address == LOCAL:
            use_own_folder()  # Ray leaves its logs
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            cpus = None if self.at_once == -1 else self.at_once * self.num_cpus
            own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _MEMORY}
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.WARNING, **own)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise CcsError(
                f"hydra.launcher.address={self.address}: Ray does not answer or start ({reason}). Give local for one of this machine, "
                "or on a machine of a cluster auto or HEAD:PORT."
            ) from error
        stop.listen()  # Ray has taken SIGTERM for itself
        gpus = ray.cluster_resources().get("GPU", 0)
        if self.num_gpus is None:
            self.num_gpus = 1 if gpus else 0
        if self.address == LOCAL and self.num_gpus > gpus:
            ray.shutdown()
            raise CcsError(f"hydra.launcher.num_gpus={self.num_gpus:g}: this machine has {gpus:g} GPUs.")
        if self.address == LOCAL:  # some of Ray's processes notice only after a minute that this one was killed
            self._watch = killed_after(psutil.Process().children(recursive=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        import ray

        try:
            waiting = list(self._waiting)
            for task in waiting:
                ray.cancel(task)  # Ctrl-C for the cell, so that its files are whole and it is on record
            if waiting:
                ray.wait(waiting, num_returns=len(waiting), timeout=_PATIENCE_S)
        finally:
            ray.shutdown()
            if self._watch:
                self._watch.communicate()
                clear_left()  # of its processes, which were not asked to end

    def run(self, cells: Mapping[int, Sequence[Any]]) -> Iterator[tuple[int, JobReturn | str]]:
        """The number of each of `cells` as it ends, and what it returned, or as text why it returned nothing.

        Args:
            cells: Hydra's ``execute_job``'s arguments by the number of the cell.
        """
        import ray

        # a process that dies has failed; with a GPU, each cell has a process of its own, as CUDA keeps the device that it began with
        cell = ray.remote(run_cell).options(num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_retries=0)
        place = os.getcwd(), taken_along()
        for number, arguments in cells.items():
            if len(self._waiting) == self.at_once:
                yield self._next()
            self._waiting[cell.remote(*arguments, *place)] = number
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[int, JobReturn | str]:
        import ray

        (task, *_), _ = ray.wait(list(self._waiting))
        number = self._waiting.pop(task)
        try:
            return number, ray.get(task)
        except ray.exceptions.RayTaskError as error:
            return number, str(error.cause)
        except ray.exceptions.RayError as error:
            return number, f"Its process was killed, or its machine is gone ({type(error).__name__}: {' '.join(str(error).split())})"


def taken_along() -> dict[str, str]:
    """The variables that a cell gets from this process: the program's own. Others, secrets among them, are those of Ray's machines."""
    return {name: value for name, value in os.environ.items() if name.startswith("CCS_EXP_") and not names_a_secret(name)}


def run_cell(
    number: int, overrides: Sequence[str], context: Any, config: Any, task: Any, state: Any, folder: str, variables: Mapping[str, str]
) -> JobReturn:
    """One cell, in a process of Ray's. Raises `CcsError` where the machine lacks the sweep's working directory."""
    os.environ.update(variables)
    try:
        os.chdir(folder)
    except OSError as error:
        raise CcsError(
            f"{socket.gethostname()} has no {folder}. All machines of the cluster must see the folder that the command is given in."
        ) from error
    return executed(number, overrides, context, config, task, state)
