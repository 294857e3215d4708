"""Which GPU a process of a parallel sweep computes on: claimed by a file lock, so that no two processes share one unasked."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ccs_exp.compute.temporary import users_folder
from ccs_exp.errors import CcsError

log = logging.getLogger(__name__)

_claimed: FileLock | None = None  # for as long as this process lives: CUDA keeps the device that it began with
_POLL_S = 2.0


def visible_gpus(asked: str | Sequence[int | str]) -> tuple[str, ...]:
    """The GPUs that jobs may use, as CUDA names them: `asked` as it is, or for ``auto`` those of CUDA_VISIBLE_DEVICES, else all.

    Raises `CcsError` where `asked` is neither.
    """
    if not isinstance(asked, str):
        return tuple(map(str, asked))
    if asked != "auto":
        raise CcsError(f"hydra.launcher.gpus={asked} is not known. Give auto, or a list as in 'hydra.launcher.gpus=[0,1]'.")
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return tuple(part.strip() for part in allowed.split(",") if part.strip() not in ("", "-1"))
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (FileNotFoundError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.split("\n") if line.strip().isdecimal())


def claim_gpu(gpus: Sequence[str], processes: int, folder: Path | None = None) -> str | None:
    """Make one of `gpus` the only one that this process sees, and return it; None without GPUs.

    `processes` may be more than there are GPUs: each GPU then takes its share of them. Where all places are taken, by this sweep or
    another one of the same user on this machine, it waits. Call it before CUDA is used.
    """
    global _claimed
    if not gpus:
        return None
    if _claimed is not None:
        return os.environ["CUDA_VISIBLE_DEVICES"]
    folder = folder or users_folder("gpus")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    places = -(-processes // len(gpus))
    waited = False
    while True:
        for place in range(places):
            for gpu in gpus:
                lock = FileLock(folder / f"{re.sub(r'[^0-9A-Za-z-]', '_', gpu)}.{place}.lock", blocking=False)
                try:
                    lock.acquire()
                except Timeout:
                    continue
                _claimed = lock
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return gpu
        if not waited:
            log.warning("All places on the GPUs %s are taken by other sweeps; waiting for one.", ", ".join(gpus))
        waited = True
        time.sleep(_POLL_S)
