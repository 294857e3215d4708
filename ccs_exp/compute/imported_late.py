"""What libraries import on their own account, and a job never uses, is run when something of it is asked for: seconds of every start.

- timm imports `wandb` to write training logs. The module is there at once, as after any import, and Python's own `LazyLoader` runs it at
  the first look into it: the tracker's, at the end of a job.
- Lightning imports two classes of `torchmetrics`, whose ``__init__`` imports every metric, and with them all of SciPy's signals,
  torchvision's models and more. The classes are had from the modules that they are in; asked for anything else, the package is run
  whole, as ever. What is at hand is in `_AT_HAND`; where another version of either library wants more of it, it gets it, only later.
- A run of W&B looks whether inputs of a job were staged, in a part of the package that launches jobs on clusters, which would come along.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

_LATE = frozenset({"wandb"})
_AT_HAND: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # package -> name -> modules to import, it is in the last
    "torchmetrics": {
        "Metric": ("torchmetrics.utilities", "torchmetrics.metric"),
        "MetricCollection": ("torchmetrics.utilities", "torchmetrics.collections"),
    },
    "wandb.sdk.launch": {},
}


def install() -> None:
    """From now on."""
    sys.meta_path.insert(0, _RunWhenUsed())


class _RunWhenUsed(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in _LATE and fullname not in _AT_HAND:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader) if fullname in _LATE else _FaceLoader(spec.loader)
        return spec


class _FaceLoader(Loader):
    """Leaves a package's own `loader` for later."""

    def __init__(self, loader: Loader):
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__class__ = _Face


class _Face(ModuleType):
    """A package before its ``__init__`` is run."""

    def __getattr__(self, name: str) -> Any:
        if name == "_logger":  # torchmetrics.utilities', which the classes at hand stand on
            return logging.getLogger(self.__name__)
        if name == "__version__" and "." not in self.__name__:
            return version(self.__name__)
        if name.startswith("__"):  # of those who look through all modules
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name in _AT_HAND[self.__name__]:
            return getattr([import_module(module) for module in _AT_HAND[self.__name__][name]][-1], name)
        _run(self)
        return getattr(self, name)


def _run(module: ModuleType) -> None:
    """What importing would have done."""
    module.__class__ = ModuleType
    assert isinstance(module.__loader__, Loader)
    module.__loader__.exec_module(module)
