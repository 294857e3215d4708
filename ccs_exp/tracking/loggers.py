"""Other trackers than W&B: any logger of Lightning's, and several trackers at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from ccs_exp.config.secrets import without_secrets
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import read_summary
from ccs_exp.tracking import content, keys
from ccs_exp.tracking.tracker import Tracker, reason

log = logging.getLogger(__name__)

_FILES = ("heads.csv", "accuracy.csv", "predictions.parquet", "report.html")
_EXTRAS = {"TensorBoardLogger": "tensorboard", "MLFlowLogger": "mlflow"}  # Lightning's loggers; package, extra and choice have one name
_AT_ONCE = 1000  # numbers that MLflow's server takes


class LoggerTracker:
    """A run folder's settings and numbers, given to a logger of Lightning's; and its files, where the logger keeps such.

    `logger` makes it (``_partial_: true``), once the run has finished; ``{run}`` and ``{name}`` in its settings are the run folder and
    what W&B would call the run. A logger that fails warns: the results are in the folder already.

    Raises:
        CcsError: the package is not installed that TensorBoard's or MLflow's logger needs.
    """

    def __init__(self, logger: Callable[..., Logger]):
        package = _EXTRAS.get(logger.func.__name__) if isinstance(logger, partial) else None
        if package and find_spec(package) is None:
            raise CcsError(
                f"tracker={package} needs {package}, which is not installed. Type: pip install 'ccs_exp[{package}]', or choose another "
                "tracker, as tracker=wandb_offline."
            )
        self.logger = logger

    def track(self, run_dir: Path) -> str | None:
        folder, summary = RunFolder(run_dir), read_summary(run_dir)
        names = {"{run}": str(folder.path), "{name}": keys.run_name(summary)}
        made: Logger | None = None
        status = "failed"
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # without it MLflow 3.17 and newer keep nothing in a folder
        try:
            made = self.logger(**_filled(self.logger, names))
            _write(made, without_secrets(content.config(summary)), _apart(content.numbers(folder, summary)))
            keep = getattr(getattr(made, "experiment", None), "log_artifact", None)  # MLflow's client
            if keep is not None and made.version is not None:
                for file in (folder.path / name for name in _FILES):
                    if file.is_file():
                        keep(made.version, str(file))
            status = "success"
        except Exception as error:  # loggers raise many kinds: the results are safe, and the job has succeeded
            log.warning("The run is not tracked: %s. All results are in %s.", reason(error), folder.path)
        finally:
            if made is not None:
                made.finalize(status)
        return "offline" if status == "success" else None


class Several:
    """All of some trackers, each by a name of its own; one that fails does not keep the others from theirs."""

    def __init__(self, **trackers: Tracker):
        self.trackers = trackers

    def track(self, run_dir: Path) -> str | None:
        modes = [tracker.track(run_dir) for tracker in self.trackers.values()]
        return next((mode for mode in ("online", "offline") if mode in modes), None)


def _write(logger: Logger, settings: dict[str, Any], numbers: dict[str, float]) -> None:
    if "metrics" in signature(logger.log_hyperparams).parameters:  # TensorBoard's, which writes a -1 of its own where it gets none
        logger.log_hyperparams(settings, numbers, step=0)
        return
    logger.log_hyperparams(settings)
    names = list(numbers)
    for first in range(0, len(names), _AT_ONCE):
        logger.log_metrics({name: numbers[name] for name in names[first : first + _AT_ONCE]}, step=0)


def _apart(numbers: dict[str, float]) -> dict[str, float]:
    """`numbers`, with ``/value`` behind names below which there are others: MLflow makes files and folders of them."""
    above = {name[:place] for name in numbers for place, sign in enumerate(name) if sign == "/"}
    return {f"{name}/value" if name in above else name: value for name, value in numbers.items()}


def _filled(logger: Callable[..., Logger], names: dict[str, str]) -> dict[str, Any]:
    """The logger's settings that hold one of `names`, with what that stands for."""
    found = {}
    for setting, value in (logger.keywords if isinstance(logger, partial) else {}).items():
        if isinstance(value, str) and any(name in value for name in names):
            for name, text in names.items():
                value = value.replace(name, text)
            found[setting] = value
    return found
