"""Lets torchvision be imported beside a torch build that it was not compiled for.

The package index offers torchvision only as a CUDA build. Next to torch's CPU build its compiled operators do not load,
and the import stops at the registration of `nms`. Only transforms are used here, never those operators, so it is enough
to declare their schemas. Where torchvision loads its own operators this module does nothing.
"""

from __future__ import annotations

import importlib.util
import sys

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[torch.library.Library] = []  # a Library takes its definitions with it when it is collected


def declare_missing_operators() -> None:
    """Declare `nms` and `qnms` if torchvision cannot, which a first import attempt tells."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                library.define(schema)
        _libraries.append(library)


declare_missing_operators()
