"""Running a module over a data module by Lightning: device, precision and progress in one place."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass

import lightning
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ccs_exp.errors import CcsError
from ccs_exp.journal import note


@dataclass(frozen=True)
class Compute:
    """Where and how to compute: Lightning's accelerator (`auto`, `cpu`, `gpu` ...) and precision, and whether to show progress.

    Raises `CcsError` where the machine has no such device, or the device no such precision.
    """

    device: str = "auto"
    precision: str | int = 32
    progress: bool = True

    def run(self, module: lightning.LightningModule, data: lightning.LightningDataModule, description: str) -> None:
        """One pass of `module`'s test step over `data`."""
        for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
            logging.getLogger(name).setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # on a cluster's login node
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            warnings.filterwarnings("ignore", message=".*MPS available but not used.*")
            trainer, started = self._trainer(description), time.perf_counter()
            try:
                with torch.inference_mode():
                    trainer.test(module, data, verbose=False)
                seconds = round(time.perf_counter() - started, 3)
                note(pass_seconds=seconds, device=str(trainer.strategy.root_device))
            except SystemExit as stop:  # Lightning's answer to Ctrl-C
                if isinstance(stop.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from None
                raise

    def _trainer(self, description: str) -> lightning.Trainer:
        try:
            return lightning.Trainer(
                accelerator=self.device,
                devices=1,
                precision=self.precision,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=self.progress,
                callbacks=[_NamedProgress(description)] if self.progress else [],
            )
        except (MisconfigurationException, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CcsError(f"device={self.device} precision={self.precision} cannot be used here: {reason}") from error


class _NamedProgress(RichProgressBar):
    def __init__(self, description: str):
        super().__init__()
        self._description = description

    @property
    def test_description(self) -> str:
        return self._description
