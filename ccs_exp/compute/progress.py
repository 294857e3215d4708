"""How far a pass is, in images."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from ccs_exp.compute.shared_pass import SharedData
from ccs_exp.journal.screen import progress


class ImageProgress(Callback):
    """A progress bar. Of several processes the first shows it, for all: their shares are alike."""

    def __init__(self, description: str, data: SharedData, of: int = 1):
        super().__init__()
        self._total, self._of = len(data), of
        self._bar = progress(data.unit)
        self._task = self._bar.add_task(description, total=self._total)

    def on_test_start(self, *_: Any) -> None:
        self._bar.start()

    def on_test_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        done = self._bar.tasks[0].completed + len(batch.pixels) * self._of
        self._bar.update(self._task, completed=min(done, self._total))

    def on_test_end(self, *_: Any) -> None:
        self._bar.update(self._task, completed=self._total)  # those too that could not be decoded
        self._bar.stop()

    def on_exception(self, *_: Any) -> None:
        self._bar.stop()
