"""What a pass over data that several processes share needs of its module and its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import lightning

from ccs_exp.compute.processes import Share


class SharedModule(lightning.LightningModule, ABC):
    """A module whose test step can be spread over processes."""

    @abstractmethod
    def share_result(self) -> Any:
        """What this process's share gave: plain data, on the CPU."""

    @abstractmethod
    def combine_shares(self, results: Sequence[Any]) -> None:
        """Take what all processes found, in their order, in place of one's own."""


class SharedData(lightning.LightningDataModule, ABC):
    """Data of which a process sees its `share`, decoded by `num_workers` processes; `len` is all that there is, in its `unit`."""

    unit = "images"
    share = Share()
    num_workers: int

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def share_result(self) -> Any:
        """As of a module."""

    @abstractmethod
    def combine_shares(self, results: Sequence[Any]) -> None:
        """As of a module."""
