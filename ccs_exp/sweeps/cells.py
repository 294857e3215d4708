"""What is known of a sweep before its first cell starts: which cells it has. Written down for ``status``, or planned."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ccs_exp.compute.temporary import use_own_folder
from ccs_exp.errors import CcsError
from ccs_exp.jobs.resume import is_kept
from ccs_exp.journal.state import SweepRecord
from ccs_exp.run_folder.wording import plain
from ccs_exp.sweeps import failures
from ccs_exp.sweeps.look_ahead import Cells, check_cells, same_jobs

_IN_TURN = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class SweepCallback(Callback):
    """Hydra calls it in the process that leads a sweep: before, it writes ``sweep.json``, or with ``plan=true`` prints the plan and ends
    the command; afterwards it says what comes next.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if not config.plan:
            failures.begin(folder)
            cells = sweep_cells(config)
            if cells is not None:
                _look_ahead(cells)
                launcher = OmegaConf.select(config, "hydra.runtime.choices", default={}).get("hydra/launcher") or "basic"
                SweepRecord(cells, launcher, time.time()).write(folder)
            return
        use_own_folder()  # torch, which a plan asks, leaves something in it
        try:
            cells = sweep_cells(config)
            if cells is None:
                raise CcsError("plan=true knows a sweep's cells only with hydra/sweeper=basic.")
            _look_ahead(cells)
            from ccs_exp.sweeps.plan import finished_folders, plan_sweep, show_plan

            found = finished_folders([folder, Path("multirun"), Path("outputs")])
            show_plan(*plan_sweep(cells, lambda cfg, cell: "in the store" if is_kept(cfg, cell) else found(cfg, cell)))
        except Exception as error:  # Hydra would make a warning of it and start the sweep
            sys.exit(f"Error: {' '.join(str(error).split())}")
        sys.exit(0)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        print(f"\nSweep:  {folder}\nNext:   ccs-exp report {shlex.quote(str(folder))}   # its tables and figures on one page")


def _look_ahead(cells: Cells) -> None:
    try:
        check_cells(cells)
    except CcsError as error:  # Hydra would make a warning of it and start the sweep
        sys.exit(f"Error: {plain(error)}")
    for line in same_jobs(cells):
        print(plain(f"Note: {line}"))


def sweep_cells(config: DictConfig) -> tuple[tuple[str, ...], ...] | None:
    """The overrides of each cell, in the order of the job numbers; None for a sweeper that chooses as it goes."""
    if config.hydra.sweeper._target_ != _IN_TURN:
        return None
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    asked = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()] + list(config.hydra.overrides.task)
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    (cells,) = BasicSweeper.split_arguments(parser.parse_overrides(asked), None)
    return tuple(map(tuple, cells))
