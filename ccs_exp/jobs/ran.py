"""What answered a job: versions, commit, device, seconds and memory, for ``ran`` in ``summary.json``."""

from __future__ import annotations

import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ccs_exp.files import ASSETS
from ccs_exp.journal.log import so_far

if TYPE_CHECKING:
    from ccs_exp.run_folder.summary import Ran

_LIBRARIES = ("torch", "torchvision", "open_clip_torch", "lightning", "numpy", "pillow")


def what_ran(device: str) -> Ran:
    """All of it so far. `device`: the kind that computed."""
    from ccs_exp.run_folder.summary import Ran  # late: it imports pydantic, for which no image need wait

    job = so_far()
    on_gpu = device == "cuda" and torch.cuda.is_initialized()
    return Ran(
        version=version("ccs_exp"),
        commit=commit(),
        libraries={name: version(name) for name in _LIBRARIES},
        device=device,
        device_name=torch.cuda.get_device_name() if on_gpu else processor(),
        threads=torch.get_num_threads(),
        started=job.started,
        seconds=job.seconds,
        stages=job.stages,
        images_per_second=job.images_per_second,
        peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10),
        gpu_peak_memory_mib=torch.cuda.max_memory_allocated() >> 20 if on_gpu else None,
    )


def commit() -> str | None:
    """In a checkout its commit (``-dirty`` if files were changed)."""
    root = ASSETS.parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """What the CPU is called, where the system says so."""
    facts = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", facts.read_text(errors="replace"), re.MULTILINE) if facts.is_file() else None
    return named[1] if named else platform.processor() or platform.machine()
