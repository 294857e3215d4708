"""``ccs-exp prefetch``: fetch beforehand what a job or the jobs of a sweep need, for machines without network."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.config.mistakes import explained
from ccs_exp.config.place import config_dir
from ccs_exp.config.schema import configure, register
from ccs_exp.errors import CcsError
from ccs_exp.hub import place
from ccs_exp.jobs.fetching import Need, needs_of_job, said
from ccs_exp.run_folder.wording import plain
from ccs_exp.store import cache_dir
from ccs_exp.sweeps.cells import sweep_cells


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, and say what to set where there is no network. 0: all is here; 1: something could not be had."""
    parser = argparse.ArgumentParser(prog="ccs-exp prefetch", description=__doc__)
    parser.add_argument("overrides", nargs="+", help="those of the job or sweep, as in model=vitl14_laion dataset=food101,cifar100")
    parser.add_argument("-m", "--multirun", action="store_true", help="as on the job's command line; several values are a sweep anyhow")
    asked = parser.parse_args(arguments)
    try:
        found = needs_of_sweep(asked.overrides)
    except CcsError as error:
        sys.exit(f"Error: {plain(str(error))}")
    for line in said(found, known_only=False):
        print(plain(line))
    failed = [f"{need.what}: {reason}" for need in found if (reason := _failure(need))]
    for line in failed:
        print(plain(f"Error: {line}"), file=sys.stderr)
    if failed:
        return 1
    kept = {"HF_HUB_OFFLINE": "1", "HF_HOME": os.path.dirname(place()), "CCS_EXP_CACHE": str(cache_dir())}
    print(f"Everything is here ({len(found)} parts). On machines without network, with the same folders:")
    print("  export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in kept.items()))
    print(f"  ccs-exp {shlex.join(['-m', *asked.overrides] if asked.multirun else asked.overrides)}")
    return 0


def needs_of_sweep(overrides: Sequence[str]) -> list[Need]:
    """What all cells need, each thing once. Raises `CcsError` for overrides that make no job."""
    register()
    try:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            cells = sweep_cells(loader.load_configuration("config", list(overrides), RunMode.MULTIRUN))
    except (HydraException, OmegaConfBaseException) as error:
        raise CcsError(explained(error)) from error
    if cells is None:
        raise CcsError("prefetch knows a sweep's cells only with hydra/sweeper=basic.")
    cfgs = [configure(*cell) for cell in cells]
    found = (need for cfg in cfgs for need in needs_of_job(cfg, evaluates=cfg.dataset.name != "none"))
    return list({need.identity: need for need in found}.values())


def _failure(need: Need) -> str | None:
    """Load it as a job would; why it cannot be had, if so."""
    try:
        need.load()
    except CcsError as error:
        return str(error)
    return None
