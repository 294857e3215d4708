"""What every layout of a published data set is opened as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ccs_exp.data.images.source import Sample


class Labelled(Protocol):
    """Images with the number of their class in the set's own table. `one_process` and `notes` are those of an `ImageSource`.

    Attributes:
        targets: of each image, the number that its sample carries; None where that is known only as samples come.
    """

    targets: Sequence[int] | None
    one_process: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...
