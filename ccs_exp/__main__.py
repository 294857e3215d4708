"""The command line: compose the configuration, check it, run the experiment; errors as paragraphs."""

from __future__ import annotations

import difflib
import gc
import logging
import os
import shlex
import signal
import sys
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.compute.processes import started
from ccs_exp.compute.temporary import use_own_folder
from ccs_exp.config import composed_once
from ccs_exp.config.checks import check
from ccs_exp.config.mistakes import explained
from ccs_exp.config.schema import config_dir, register
from ccs_exp.config.secrets import refuse_secrets
from ccs_exp.config.written import write_configuration
from ccs_exp.errors import CcsError, NotHere, system_error
from ccs_exp.jobs.resume import asked_keys, keep, restore
from ccs_exp.journal import screen, stop
from ccs_exp.journal.log import recorded
from ccs_exp.journal.state import refuse_company, varied_in
from ccs_exp.run_folder.wording import plain
from ccs_exp.sweeps import failures
from ccs_exp.sweeps.look_ahead import for_cells
from ccs_exp.tracking.keys import sweep_name

register()

_COMMANDS = {  # first words of the command line that are no overrides, and where their main() is
    "report": "ccs_exp.report.command",
    "status": "ccs_exp.sweeps.status",
    "store": "ccs_exp.jobs.store_command",
    "atlas": "ccs_exp.jobs.atlas_command",
    "agreement": "ccs_exp.agreement.command",
    "dashboard": "ccs_exp.tracking.dashboard.command",
    "prefetch": "ccs_exp.sweeps.prefetch",
    "verify-hub": "ccs_exp.data.published.verify_hub",
}

_SHOW_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR") == "1"

log = logging.getLogger(__name__)


@hydra.main(config_path=config_dir(), config_name="config", version_base="1.3")
def _job(cfg: DictConfig) -> None:
    if _followed():  # a launcher's processes come here without main()
        return
    register()  # a launcher's other processes get this function without its module
    stop.listen()
    stop.check()  # of a sweep that was told to stop no further cell begins
    screen.make_lasting()
    use_own_folder()
    hydra_cfg = HydraConfig.get()
    asked = asked_keys(hydra_cfg.overrides.task)
    sweep = hydra_cfg.sweep.dir if hydra_cfg.mode is RunMode.MULTIRUN else None
    run_dir = hydra_cfg.runtime.output_dir
    failures.forget(run_dir)
    try:
        refuse_company(Path(run_dir))
        write_configuration(cfg, Path(run_dir))
        with nullcontext() if cfg.plan else recorded(run_dir, hydra_cfg.overrides.task):
            check(cfg)
            if not cfg.plan and restore(cfg, run_dir, asked):
                return

            _import_job()
            from ccs_exp.jobs.experiment import Job, run

            varied = varied_in(sweep, hydra_cfg.overrides.task) if sweep else ()
            run(cfg, Job(run_dir=run_dir, asked=asked, sweep=sweep and sweep_name(sweep), varied=varied))
            if not cfg.plan:
                keep(cfg, run_dir, asked)
    except Exception as error:
        stop.check()  # what a signal has become on its way is no error of the job
        if isinstance(error, NotHere):
            error.args = (f"{error} Where there is network, this fetches it: ccs-exp prefetch {shlex.join(hydra_cfg.overrides.task)}",)
        if sweep is not None:
            # Hydra goes on with the other jobs, and raises the first of such errors at the end
            reason = _paragraph(error) if isinstance(error, CcsError) else f"{type(error).__name__}: {_paragraph(error)}"
            failures.record(run_dir, hydra_cfg.job.override_dirname, reason)
            log.error("Job %s (%s): %s", hydra_cfg.job.num, hydra_cfg.job.override_dirname, reason)
            if not isinstance(error, CcsError):
                log.info("That was not foreseen:", exc_info=error)  # for the log file
            raise
        if _SHOW_TRACEBACK or not isinstance(error, CcsError):
            raise
        sys.exit(f"Error: {_paragraph(error)}")


def main() -> None:
    """Run the command line; exit status 1 after an error, 130 after Ctrl-C, 143 after SIGTERM, 129 where the terminal ended."""
    screen.make_lasting()
    _check_working_directory()
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first in _COMMANDS:
        use_own_folder()
        try:
            sys.exit(import_module(_COMMANDS[first]).main(sys.argv[2:]))
        except OSError as error:
            if _SHOW_TRACEBACK:
                raise
            sys.exit(f"Error: {_paragraph(error)}")
    _check_word(first)
    stop.listen()
    try:
        _run_jobs()
    except BaseException:
        if not stop.told():
            raise
    if stop.told():  # also where the exception was lost on its way: the jobs were ended, or had just finished
        what = "Interrupted" if stop.told() is signal.SIGINT else "Terminated"
        with suppress(OSError):  # of a terminal that is gone
            print(f"\n{what}. Files written so far are whole.", file=sys.stderr)
        sys.exit(stop.status())


def _import_job() -> None:
    """The modules of a job, torch among them: neither --help nor a finished job should wait for that.

    Python would look through what thousands of modules make for garbage again and again, a fifth of the time of importing them; it stays,
    and is left out of that from then on.
    """
    if "ccs_exp.jobs.experiment" in sys.modules:  # a later job of a sweep, whose garbage is not to stay
        return
    gc.disable()
    try:
        import_module("ccs_exp.jobs.experiment")
    finally:
        gc.freeze()
        gc.enable()


def _run_jobs() -> None:
    gc.freeze()  # what was imported is no garbage, and looking through it again and again takes a tenth of the time of composing
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra hands exceptions on instead of printing its own traceback
    try:
        refuse_secrets(sys.argv[1:])
        sys.argv[1:] = for_cells(sys.argv[1:])
        composed_once.install()
        if not _followed():  # here, so that Hydra makes no folders for processes that write nothing
            _job()
    except (CcsError, HydraException, OmegaConfBaseException, OSError) as error:
        if failures.of_this_sweep():
            sys.exit(failures.report())
        if _SHOW_TRACEBACK:
            raise
        sys.exit(f"Error: {_paragraph(error)}")
    except Exception:
        if not failures.of_this_sweep():
            raise
        sys.exit(failures.report())  # the tracebacks are in the jobs' logs


def _check_word(first: str) -> None:
    """Raise SystemExit for a first word that is no command, and no setting either."""
    if not first or "=" in first or first.startswith(("-", "~")):
        return
    close = difflib.get_close_matches(first, _COMMANDS, 1)
    meant = f"Did you mean: ccs-exp {close[0]}? " if close else ""
    sys.exit(
        f"Error: {first} is not known. {meant}The first word may be one of: {', '.join(_COMMANDS)}. Settings of a job are written "
        "key=value, as in model=vitb32_openai; ccs-exp --help lists them."
    )


def _check_working_directory() -> None:
    try:
        os.getcwd()
    except OSError as error:
        sys.exit(f"Error: {system_error(error)}")


def _followed() -> bool:
    """Whether this process is one of several that torchrun or srun started, and has done its share of another's job."""
    place = started()
    if place is None:
        return False
    from ccs_exp.compute.start_processes import join  # imports torch

    return join(place)


def _paragraph(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, HydraException):  # a choice that is not known is both
        return plain(system_error(error))
    return plain(explained(error))


if __name__ == "__main__":
    main()
