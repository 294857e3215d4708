"""What a pass over data that several processes share needs of its module and its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning

from ccs_exp.compute.processes import Share


class Shared(ABC):
    """Of what several processes have a share each."""

    @abstractmethod
    def share_result(self) -> Any:
        """What this process's share gave: plain data, on the CPU."""

    @abstractmethod
    def combine_shares(self, results: Sequence[Any]) -> None:
        """Take what all processes found, in their order, in place of one's own."""


class SharedModule(lightning.LightningModule, Shared):
    """A module whose test step can be spread over processes."""


class SharedData(lightning.LightningDataModule, Shared):
    """Data of which a process sees its `share`, decoded by `num_workers` processes; `len` is all that there is, in its `unit`."""

    unit = "images"
    share = Share()
    num_workers: int

    @abstractmethod
    def __len__(self) -> int: ...
