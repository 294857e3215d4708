"""A real Slurm of one node on this machine, in a temporary folder, for as long as a test needs it.

A requeued job may start once its old credential has expired: after two minutes on a usual cluster, five seconds here.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

_CONF = """\
ClusterName=ccs_exp_test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=usual Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
"""


def why_not() -> str | None:
    """Why no Slurm can be started here; None if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)} not installed (apt-get install slurm-wlm munge)"
    return "only root can start Slurm's daemons" if os.geteuid() != 0 else None


@contextmanager
def slurm(start_timeout_s: float = 90.0) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd, wait until the node is idle, and give the environment for commands; stop all at the end.

    Raises RuntimeError with the daemons' logs where the node does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="ccs_exp_slurm_"))
    folder.chmod(0o755)  # munged wants its socket to be within reach of all
    daemons: list[subprocess.Popen] = []
    environment = os.environ | {"PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        _configure(folder)
        places = {"key-file": "munge.key", "socket": "munge.socket", "log-file": "munged.log", "pid-file": "munged.pid"}
        places |= {"seed-file": "munged.seed"}
        _start(
            daemons,
            folder,
            environment,
            ["munged", "--foreground", *(f"--{key}={folder / name}" for key, name in places.items())],
        )
        _wait(lambda: (folder / "munge.socket").exists(), start_timeout_s, folder)
        _start(daemons, folder, environment, ["slurmctld", "-D", "-c"])
        _start(daemons, folder, environment, ["slurmd", "-D"])
        _wait(lambda: "idle" in _output(["sinfo", "--noheader", "--format=%T"], environment), start_timeout_s, folder)
        yield environment
    finally:
        if len(daemons) == 3:
            _output(["scancel", "--user=root", "--signal=KILL", "--full"], environment)
            _output(["scancel", "--user=root"], environment)
            time.sleep(1)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    controller_port, node_port = _free_ports(2)
    host = socket.gethostname().split(".")[0]
    conf = _CONF.format(folder=folder, host=host, controller_port=controller_port, node_port=node_port)
    (folder / "slurm.conf").write_text(conf)


def _start(daemons: list[subprocess.Popen], folder: Path, environment: dict[str, str], command: list[str]) -> None:
    program = shutil.which(command[0], path=_PATH)
    with open(folder / f"{command[0]}.out", "wb") as output:
        daemons.append(subprocess.Popen([program, *command[1:]], env=environment, stdout=output, stderr=subprocess.STDOUT))


def _output(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _wait(met, timeout_s: float, folder: Path) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        if time.monotonic() > deadline:
            logs = "".join(
                f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}\n" for path in folder.glob("*.[lo][ou][gt]")
            )
            raise RuntimeError(f"Slurm did not start within {timeout_s:.0f} s\n{logs}")
        time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    """Told from the kernel's list: the tests open no sockets themselves."""
    used = {connection.laddr.port for connection in psutil.net_connections("inet") if connection.laddr}
    return random.SystemRandom().sample([port for port in range(20000, 30000) if port not in used], count)
