"""Starting the processes of a job on this machine, or joining those that torchrun or srun started."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from typing import NoReturn

from torch import distributed

from ccs_exp.compute.parent import end_with, import_paths, python
from ccs_exp.compute.process_group import CONNECT, POLL_SECONDS, ProcessGroup
from ccs_exp.compute.processes import OURS, Place
from ccs_exp.errors import CcsError
from ccs_exp.journal import stop

_CHILD = "from ccs_exp.compute.start_processes import child; child()"

_group: ProcessGroup | None = None  # the one whose first process this is


def process_group(size: int) -> ProcessGroup:
    """The processes that this job was started with, or `size` on this machine, started now and kept for later calls."""
    if _group is not None and not _group.closed:
        if _group.place.world == size:
            return _group
        _group.close()
    store = distributed.TCPStore("127.0.0.1", 0, size, is_master=True, timeout=CONNECT, wait_for_workers=False)
    _use_loopback()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_STEP", "TORCHELASTIC"))}
    children = tuple(
        subprocess.Popen(
            python(_CHILD, os.getpid(), store.port, rank, size),
            env=environment | import_paths(),
            stdin=subprocess.DEVNULL,
        )
        for rank in range(1, size)
    )
    try:
        _wait_for_connections(store, children)
        return _keep(ProcessGroup(store, Place(0, 0, size, OURS, size), children))
    except BaseException:
        for process in children:
            process.kill()
        raise


def join(place: Place) -> bool:
    """Connect with the processes that torchrun or srun started; False in the first, which goes on with the job, and True in the others,
    once the job is done."""
    if _group is not None:
        return False
    group = ProcessGroup(_outer_store(place), place)
    if place.rank == 0:
        _keep(group)
        return False
    try:
        group.follow()
    except distributed.DistError as error:
        raise CcsError(f"Process {place.rank} of {place.world}: the first process of the job is gone, see its log.") from error
    return True


def child() -> NoReturn:
    """What a process that `process_group` started does, until its parent needs it no more or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its children
    parent, port, rank, size = map(int, sys.argv[1:])
    end_with(parent)
    try:
        store = distributed.TCPStore("127.0.0.1", port, size, is_master=False, timeout=CONNECT)
        store.set(f"connected/{rank}", "")
        ProcessGroup(store, Place(rank, rank, size, OURS, size)).follow()
    except distributed.DistError:  # the parent is gone, and with it the job
        os._exit(1)
    sys.exit(0)


def _keep(group: ProcessGroup) -> ProcessGroup:
    global _group
    _group = group
    atexit.register(lambda: None if group.closed else group.close())
    return group


def _wait_for_connections(store: distributed.Store, children: tuple[subprocess.Popen[bytes], ...]) -> None:
    while not store.check([f"connected/{rank}" for rank in range(1, len(children) + 1)]):
        stop.check()
        for process in children:
            if process.poll() is not None:
                raise CcsError(
                    f"A process for another device could not be started (status {process.returncode}): see its message."
                )
        time.sleep(POLL_SECONDS)


def _outer_store(place: Place) -> distributed.Store:
    if place.by == "torchrun":
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        serves = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    else:
        from lightning.pytorch.plugins.environments import SLURMEnvironment

        address = SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_STEP_NODELIST"])
        port, serves = _step_port(int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])), place.rank == 0
    store = distributed.TCPStore(address, port, place.world, is_master=serves, timeout=CONNECT, wait_for_workers=False)
    return distributed.PrefixStore("ccs_exp", store)


def _step_port(job: int, step: int) -> int:
    """A port that the processes of a step agree on, and other steps on the same node hardly have."""
    return 20000 + (job * 101 + step) % 10000


def _use_loopback() -> None:
    """Processes of one machine talk over its loopback device: its name may not resolve, or resolve to a closed network."""
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
