"""What each of ``hydra.launcher.*`` may be, said before a sweep begins: joblib and submitit would say it in a traceback, or not at all."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ccs_exp.config.settings import Number
from ccs_exp.errors import CcsError

_NUMBERS = {
    # hydra/launcher=parallel
    "n_jobs": Number(1, others=(-1,)),
    "batch_size": Number(1, others=("auto",)),
    "verbose": Number(0),
    # hydra/launcher=ray
    "num_cpus": Number(1),
    "num_gpus": Number(0, parts=True, others=(None,)),
    # hydra/launcher=slurm
    "array_parallelism": Number(1),
    "poll_s": Number(0.1, parts=True),
    "timeout_min": Number(1),
    "max_num_timeout": Number(0),
    "signal_delay_s": Number(0),
    "nodes": Number(1),
    "tasks_per_node": Number(1),
    "cpus_per_task": Number(1, others=(None,)),
    "mem_gb": Number(0.1, parts=True, others=(None,)),
    **dict.fromkeys(("gpus_per_node", "gpus_per_task", "cpus_per_gpu"), Number(0, others=(None,))),
}
_TEXTS = ("partition", "account", "qos", "constraint", "exclude", "comment", "gres", "mem_per_gpu", "mem_per_cpu")


def check_launcher(settings: Mapping[str, Any]) -> None:
    """Raise `CcsError` for a value that is not of its setting's kind or outside its range."""
    for name, value in settings.items():
        wanted = _wanted(name, value)
        if wanted is not None:
            shown = "null" if value is None else value
            raise CcsError(f"hydra.launcher.{name}={shown}: give {wanted}.")


def check_known(settings: Mapping[str, Any], function: Any) -> None:
    """Raise `CcsError` for a setting that `function` does not take."""
    known = [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise CcsError(f"There is no setting hydra.launcher.{unknown[0]}. There are: gpus, {', '.join(sorted(known))}.")


def _wanted(name: str, value: Any) -> str | None:
    """What should stand there; None where the value will do."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if name in _NUMBERS:
        return None if _NUMBERS[name].admits(value) else _NUMBERS[name].words
    if name == "gpus":
        fits = value == "auto" or (is_list and all(isinstance(item, int | str) and str(item).strip("-") for item in value))
        return None if fits else "auto, or a list as in 'hydra.launcher.gpus=[0,1]'"
    if name == "pre_dispatch":
        fits = (isinstance(value, int) and value >= 1) or (isinstance(value, str) and ("n_jobs" in value or value in ("all", "auto")))
        return None if fits else "all, a whole number of at least 1, or a multiple as in 2*n_jobs"
    if name == "address":
        fits = isinstance(value, str) and value.strip()
        return None if fits else "local, auto, or the address of a cluster's head as HEAD:6379"
    if name in _TEXTS:
        return None if value is None or (isinstance(value, str | int) and str(value).strip()) else "text, or null"
    if name == "setup":
        return None if value is None or (is_list and all(isinstance(line, str) for line in value)) else "a list of lines of shell, or null"
    if name == "additional_parameters":
        return None if isinstance(value, Mapping) else "a mapping, as in '{mail-type: END}'"
    if name == "stderr_to_stdout":
        return None if isinstance(value, bool) else "true or false"
    return None
