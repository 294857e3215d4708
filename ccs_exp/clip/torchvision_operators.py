"""Lets torchvision be imported beside a torch build that it was not compiled for.

The package index offers torchvision only as a CUDA build. Next to torch's CPU build its compiled operators do not load,
and the import stops at the registration of `nms`. Only transforms are used here, never those operators, so it is enough
to declare their schemas. Where torchvision loads its own operators nothing is done.

Lightning and open_clip import torchvision too, in whatever order: `install` sees to it at the first import of all, and costs
nothing until then.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[Any] = []  # a torch.library.Library takes its definitions with it when it is collected


def install() -> None:
    """Declare `nms` and `qnms` at the first import of torchvision, where it cannot itself."""
    if "torchvision" not in sys.modules:
        sys.meta_path.insert(0, _AtFirstImport())


class _AtFirstImport(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            _declare_missing_operators()


def _declare_missing_operators() -> None:
    """A first attempt to import tells whether they are missing."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        import torch

        for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                library.define(schema)
        _libraries.append(library)
