"""Running a module over a data module by Lightning: device, precision and progress in one place."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from ccs_exp.compute.decoders import losses_in_words
from ccs_exp.compute.process_group import Member
from ccs_exp.compute.processes import Share
from ccs_exp.compute.shared_pass import SharedData, SharedModule
from ccs_exp.compute.start_processes import process_group
from ccs_exp.errors import CcsError
from ccs_exp.journal import stop
from ccs_exp.journal.log import note
from ccs_exp.journal.screen import progress


@dataclass(frozen=True)
class Compute:
    """Where and how to compute: Lightning's accelerator (`auto`, `cpu`, `gpu` ...) and precision, and whether to show progress.

    `devices` (`auto`: all GPUs) on each of `num_nodes` share a pass, each a process with a Lightning Trainer of its own over its share
    of the batches (``data.share``); what they find is put together in this process. Batches are the same as with one device, so results
    are: on a CPU up to last digits, which may depend on the number of threads, and the processes divide the machine's among them.

    Raises `CcsError` where the machine has no such device, or the device no such precision.
    """

    device: str = "auto"
    precision: str | int = 32
    progress: bool = True
    devices: int | str = 1
    num_nodes: int = 1

    @property
    def device_type(self) -> str:
        """The kind of device that this machine has for `device`: `cpu`, `cuda` or `mps`."""
        if self.device not in ("auto", "gpu"):
            return self.device
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

    @contextmanager
    def placed(self, model: nn.Module) -> Iterator[None]:
        """`model` on the device, for what is computed outside of a pass."""
        model.to(self.device_type)
        try:
            yield
        finally:
            model.to("cpu")

    def run(self, module: SharedModule, data: SharedData, description: str) -> None:
        """One pass of `module`'s test step over `data`. Ends at its next batch where the job was told to stop."""
        processes = self._devices() * self.num_nodes
        if processes == 1:
            return self._pass(module, data, [_Watch()] + ([_Progress(description, data)] if self.progress else []), 1)
        results = process_group(processes).call(_share_of_pass, self, module, data, description)
        module.combine_shares([of_module for of_module, _ in results])
        data.combine_shares([of_data for _, of_data in results])

    def on_gpus(self) -> bool:
        return self.device in ("auto", "gpu", "cuda") and CUDAAccelerator.is_available()

    def _devices(self) -> int:
        """The devices on each machine. Raises `CcsError` where this one has fewer."""
        found = CUDAAccelerator.auto_device_count() if self.on_gpus() else 1
        wanted = found if self.devices == "auto" else int(self.devices)
        if wanted > 1 and (self.device == "mps" or (self.device in ("gpu", "cuda") and not self.on_gpus())):
            raise CcsError(f"trainer.devices={wanted}: device={self.device} has one at most here. Leave trainer.devices out.")
        if self.on_gpus() and self.num_nodes == 1 and wanted > found:
            raise CcsError(f"trainer.devices={wanted}: this machine has {found}. Set trainer.devices to that, or to auto.")
        return wanted

    def _pass(self, module: SharedModule, data: SharedData, callbacks: list[Callback], devices: int | list[int]) -> None:
        for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
            logging.getLogger(name).setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for text in ("does not have many workers", "LeafSpec", "`srun` command is available", "(GPU|MPS) available but not used"):
                warnings.filterwarnings("ignore", message=f".*{text}.*")
            trainer, started = self._trainer(callbacks, devices), time.perf_counter()
            try:
                with torch.inference_mode(), _whole_precision(), losses_in_words():
                    trainer.test(module, data, verbose=False)
                seconds = round(time.perf_counter() - started, 3)
                note(pass_seconds=seconds, device=str(trainer.strategy.root_device))
            except SystemExit as end:  # Lightning's answer to Ctrl-C
                if isinstance(end.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise

    def _trainer(self, callbacks: list[Callback], devices: int | list[int]) -> lightning.Trainer:
        try:
            return lightning.Trainer(
                accelerator=self.device,
                devices=devices,
                plugins=[LightningEnvironment()],  # Lightning would take a cluster's processes for its own to connect
                precision=cast(Any, self.precision),  # Lightning lists them
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                callbacks=callbacks,
            )
        except (MisconfigurationException, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CcsError(f"device={self.device} precision={self.precision} cannot be used here: {reason}") from error


@contextmanager
def _whole_precision() -> Iterator[None]:
    """Left alone, torch rounds what it convolves on a GPU (an encoder's patches) to TF32, also with ``precision=32``."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class _Watch(Callback):
    """Ends a pass at its next batch where the job was told to stop, or, of several processes, another one has failed."""

    def __init__(self, member: Member | None = None):
        super().__init__()
        self._member = member

    def on_test_batch_start(self, *_: Any) -> None:
        stop.check()
        if self._member is not None:
            self._member.go_on()


class _Progress(Callback):
    """How far a pass is, in what its data counts. Of several processes the first shows it, for all: their shares are alike."""

    def __init__(self, description: str, data: SharedData, of: int = 1):
        super().__init__()
        self._total, self._of = len(data), of
        self._bar = progress(data.unit)
        self._task = self._bar.add_task(description, total=self._total)

    def on_test_start(self, *_: Any) -> None:
        self._bar.start()

    def on_test_batch_end(self, _trainer: Any, _module: Any, _outputs: Any, batch: Any, *_: Any) -> None:
        done = self._bar.tasks[0].completed + len(batch.pixels) * self._of
        self._bar.update(self._task, completed=min(done, self._total))

    def on_test_end(self, *_: Any) -> None:
        self._bar.update(self._task, completed=self._total)  # those too that could not be decoded
        self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        self._bar.stop()


def _share_of_pass(
    member: Member, compute: Compute, module: SharedModule, data: SharedData, description: str
) -> tuple[Any, Any]:
    """What this process's share of the batches gives: the results of module and data."""
    first, workers = member.share.rank == 0, data.num_workers
    callbacks: list[Callback] = [_Watch(member)]
    callbacks += [_Progress(description, data, of=member.share.of)] if compute.progress and first else []
    # a cluster may let each process see its own GPU only, as number 0
    devices = [member.place.local_rank % CUDAAccelerator.auto_device_count()] if compute.on_gpus() else 1
    data.share, data.num_workers = member.share, member.place.of_machine(workers)
    try:
        if len(data.test_dataloader()):  # Lightning takes no empty one
            compute._pass(module, data, callbacks, devices)
    finally:
        data.share, data.num_workers = Share(), workers
    return module.share_result(), data.share_result()
