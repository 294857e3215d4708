"""What is worth doing after a job that is no cell of a sweep: its own command with one thing more, and what for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ccs_exp.journal.state import read_job
from ccs_exp.report.contents import Contents

_REAL_MODEL = "ccs-exp model=vitb32_openai ccs=published dataset=cifar10", "a real model"


def next_step(contents: Contents) -> tuple[str, str] | None:
    """A command and what it brings; None where nothing is left to suggest. Of the bundled model: a real one."""
    summary, job = contents.summary, read_job(contents.path)
    if job is None or not job.overrides or summary["model"].startswith("tiny"):
        return _REAL_MODEL
    asked = job.overrides
    weights = summary["weights"]
    if weights is not None and weights["sha256"] is None:
        return _command(_without(asked, "model.weights"), "model.weights=CHECKPOINT"), "the same with weights"
    if not contents.primary:
        return _command(_without(asked, "dataset"), "dataset=cifar10"), "what silencing its heads costs"
    if (summary.get("choices") or {}).get("ccs") == "published":
        return _command(_without(asked, "model"), "-m", "model=glob(vit*)"), "all six models"
    if not contents.single_heads:
        return _command(_without(asked, "prune"), "prune=evidence"), "does the score say which heads matter?"
    if not summary["atlas"]:
        return _command(_without(asked, "atlas"), "atlas=true"), "what each head sees"
    return None


def _without(overrides: Sequence[str], group: str) -> list[str]:
    """The overrides but those of a group, or of a setting, and of what is below it."""
    keys = [override.lstrip("+~").split("=")[0] for override in overrides]
    return [override for override, key in zip(overrides, keys, strict=True) if key != group and not key.startswith(f"{group}.")]


def _command(asked: Sequence[str], *more: str) -> str:
    return shlex.join(["ccs-exp", *more, *asked] if "-m" in more else ["ccs-exp", *asked, *more])
