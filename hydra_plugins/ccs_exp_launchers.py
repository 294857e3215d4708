"""Launchers for which a cell that dies is one failed cell: ``hydra/launcher=parallel`` (joblib), ``slurm`` (submitit) and ``ray``.

The first two build on Hydra's own plugins, which give up a whole sweep when one job's process is killed; that for Ray pins versions that
do not go with ours. Hydra finds launchers only in this namespace package, and imports this module at every start, so that whatever is
large is imported late.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher as SubmititSlurmLauncher
from omegaconf import DictConfig

from ccs_exp.errors import CcsError
from ccs_exp.journal import stop
from ccs_exp.sweeps import failures

_TRIES = 3

log = logging.getLogger(__name__)

Cells = dict[int, Sequence[str]]  # overrides by the number of the job


class ParallelLauncher(JoblibLauncher):
    """Cells in processes of this machine.

    A process that is killed (out of memory) takes the others with it: what was under way is run once more, by itself, at the end.
    What is killed again has failed.
    """

    def __init__(self, gpus: str | Sequence[int | str] = "auto", **joblib: Any):
        super().__init__(**joblib)
        self.gpus = gpus

    def setup(self, **around: Any) -> None:
        """Before anything of the sweep is made. Raises `CcsError` for settings that cannot be."""
        import joblib

        from ccs_exp.sweeps.launcher_settings import check_known, check_launcher

        check_known(self.joblib, joblib.Parallel)
        check_launcher({"gpus": self.gpus, **self.joblib})
        super().setup(**around)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        import joblib
        from hydra_plugins.hydra_joblib_launcher._core import process_joblib_cfg

        from ccs_exp.sweeps.gpus import visible_gpus

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        settings = self.joblib | {"backend": "loky"}
        process_joblib_cfg(settings)
        at_once = joblib.effective_n_jobs(settings["n_jobs"])
        gpus = visible_gpus(self.gpus)
        cells = dict(enumerate(job_overrides, initial_job_idx))
        place = f"GPUs {', '.join(gpus)}" if gpus else "CPU"
        log.info("%d cells, %d at once, on %s; sweep folder: %s", len(cells), at_once, place, self.config.hydra.sweep.dir)
        _announce(cells)
        done: dict[int, JobReturn] = {}
        again: Cells = {}
        in_vain = 0
        while waiting := {number: cell for number, cell in cells.items() if number not in done | again}:
            before = len(done)
            killed = self._run(waiting, settings, gpus, at_once, done)
            again |= {number: cells[number] for number in killed}
            in_vain = 0 if killed or len(done) > before else in_vain + 1
            if in_vain == _TRIES:
                raise CcsError(f"Processes of the sweep were killed {_TRIES} times before a cell began. Is there enough memory?")
        for number, cell in again.items():
            log.warning("#%d was under way when a process was killed; it runs once more, by itself", number)
            if self._run({number: cell}, settings, gpus, 1, done):
                reason = "Its process was killed twice, the second time alone. Was it out of memory?"
                done[number] = _failed(self.config, number, cell, reason)
        _report(cells, done)
        return [done[number] for number in cells]

    def _run(
        self, cells: Cells, settings: dict[str, Any], gpus: Sequence[str], at_once: int, done: dict[int, JobReturn]
    ) -> list[int]:
        """Run `cells` into `done`; the numbers of those that were under way when a process was killed."""
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        from ccs_exp.sweeps.workers import beginnings, run_cell, told_before_killed, tracker_anew

        began = beginnings(Path(self.config.hydra.sweep.dir), cells)
        state = Singleton.get_state()
        jobs = (
            delayed(run_cell)(number, cell, self.hydra_context, self.config, self.task_function, state, gpus, at_once, os.getpid())
            for number, cell in cells.items()
        )
        if at_once == 1:  # joblib would run them in this process; so it gets two, and is given one cell at a time
            settings = settings | {"n_jobs": 2, "pre_dispatch": 1}
        try:
            with told_before_killed(Path(self.config.hydra.sweep.dir), cells):
                for number, result in Parallel(**settings, return_as="generator_unordered")(jobs):
                    done[number] = result
                    stop.check()
                    tracker_anew()
        except TerminatedWorkerError:
            stop.check()
            get_reusable_executor().shutdown(wait=True, kill_workers=True)
            begun = beginnings(Path(self.config.hydra.sweep.dir), cells)
            return [number for number in cells if number not in done and begun[number] != began[number]]
        return []


class SlurmLauncher(SubmititSlurmLauncher):
    """Cells as a job array. Asks ``squeue``, which needs no accounting database, whether a job that left no result still exists."""

    def __init__(self, poll_s: float = 5.0, **params: Any):
        super().__init__(**params)
        self.poll_s = poll_s

    def setup(self, **around: Any) -> None:
        """As of `ParallelLauncher`."""
        from ccs_exp.sweeps.launcher_settings import check_launcher

        check_launcher({"poll_s": self.poll_s, **self.params})
        super().setup(**around)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from ccs_exp.sweeps.slurm import wait

        cells = dict(enumerate(job_overrides, initial_job_idx))
        sweep_dir = Path(self.config.hydra.sweep.dir)
        sweep_dir.mkdir(parents=True, exist_ok=True)
        _announce(cells)
        state = Singleton.get_state()
        numbers = list(cells)
        names = [f"job_id_for_{number}" for number in numbers]
        jobs = self._executor().map_array(
            self, list(map(list, cells.values())), ["hydra.sweep.dir"] * len(cells), numbers, names, [state] * len(cells)
        )
        array = jobs[0].job_id.split("_")[0]
        log.info("Slurm job %s: %d cells, sweep folder %s", array, len(cells), sweep_dir)
        log.info("ccs-exp status %s says how they are", sweep_dir)
        try:
            return _collected(self.config, cells, ((numbers[index], outcome) for index, outcome in wait(jobs, self.poll_s)))
        except KeyboardInterrupt:
            log.warning("The Slurm jobs go on without this command. To end them: scancel %s", array)
            raise

    def _executor(self) -> Any:
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        params = dict(self.params)
        folder, timeouts = params.pop("submitit_folder"), params.pop("max_num_timeout")
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=timeouts)
        except RuntimeError as error:
            raise CcsError(f"hydra/launcher=slurm: {error} Run it on a login node of the cluster.") from error
        common = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(**{name if name in common else f"slurm_{name}": value for name, value in params.items()})
        return executor


class RayLauncher(Launcher):
    """Cells as tasks of Ray. A process that is killed takes no others with it: its cell has failed."""

    def __init__(self, address: str = "local", n_jobs: int = 2, num_cpus: int = 1, num_gpus: float | None = None):
        self.settings = {"address": address, "n_jobs": n_jobs, "num_cpus": num_cpus, "num_gpus": num_gpus}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """As of `ParallelLauncher`; also where Ray is not installed."""
        from ccs_exp.sweeps import ray
        from ccs_exp.sweeps.launcher_settings import check_launcher

        check_launcher(self.settings)
        ray.require()
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from ccs_exp.sweeps.ray import RayTasks

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        cells = dict(enumerate(job_overrides, initial_job_idx))
        address, at_once, num_cpus, num_gpus = self.settings.values()
        log.info("%d cells on Ray (%s); sweep folder: %s", len(cells), address, self.config.hydra.sweep.dir)
        _announce(cells)
        around = self.hydra_context, self.config, self.task_function, Singleton.get_state()
        with RayTasks(address, at_once, num_cpus, num_gpus) as tasks:
            return _collected(self.config, cells, tasks.run({number: (number, list(cell), *around) for number, cell in cells.items()}))


def _failed(config: Any, number: int, cell: Sequence[str], reason: str) -> JobReturn:
    """What a cell would have returned that could not say itself why it failed."""
    failures.record(str(Path(config.hydra.sweep.dir) / str(number)), " ".join(cell), reason)
    result = JobReturn(overrides=list(cell), status=JobStatus.FAILED)
    result.return_value = CcsError(reason)
    return result


def _collected(config: Any, cells: Cells, outcomes: Iterable[tuple[int, Any]]) -> list[JobReturn]:
    """What each cell returned, or as text why it returned nothing, as it comes."""
    done: dict[int, JobReturn] = {}
    for number, outcome in outcomes:
        done[number] = outcome if isinstance(outcome, JobReturn) else _failed(config, number, cells[number], outcome)
        log.info("#%d is over: %d of %d", number, len(done), len(cells))
        stop.check()
    _report(cells, done)
    return [done[number] for number in cells]


def _announce(cells: Cells) -> None:
    for number, cell in cells.items():
        log.info("\t#%d : %s", number, " ".join(filter_overrides(cell)))


def _report(cells: Cells, done: dict[int, JobReturn]) -> None:
    """Say of every failed cell why; Hydra raises only the first error."""
    for number, result in done.items():
        if result.status is JobStatus.FAILED:
            log.error("#%d (%s) failed: %s", number, " ".join(filter_overrides(cells[number])), result._return_value)
