"""What libraries import on their own account, and a job never uses, is run when something of it is asked for: seconds of every start.

- timm imports `wandb` to write training logs, open_clip `ftfy` to mend texts, torchvision its models and data sets, a run of W&B the part
  of it that launches jobs on clusters. Such a module is there at once, as after any import, and is run at the first look for something
  in it.
- Lightning imports two classes of `torchmetrics`, whose ``__init__`` imports every metric, and with them all of SciPy's signals and more.
  The classes are had from the modules that they are in; asked for anything else, the package is run whole.
- Lightning imports the compiler, and SymPy with it, for the class of compiled modules, and to keep functions from it; torchmetrics all of
  matplotlib for its plots; open_clip timm, and Hugging Face's transformers, for towers of theirs: each to have a name or two in hand. For
  those it gets a `StandIn`; whoever else asks gets the thing itself, and so does the library once the module has been run.

Where another version of a library wants more than is listed, it gets it, only later.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

from ccs_exp.compute.stand_ins import StandIn, not_compiled

_AT_HAND: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # module -> name -> modules to import, it is in the last
    "ftfy": {},
    "torchmetrics": {
        "Metric": ("torchmetrics.utilities", "torchmetrics.metric"),
        "MetricCollection": ("torchmetrics.utilities", "torchmetrics.collections"),
    },
    "torchvision.datasets": {},
    "torchvision.models": {},
    "torchvision.ops": {"FrozenBatchNorm2d": ("torchvision.ops.misc",)},
    "wandb": {},
    "wandb.sdk.launch": {"LaunchError": ("wandb.sdk.launch.inputs", "wandb.sdk.launch.errors")},
}
_STAND_INS: Mapping[str, Mapping[str, tuple[str, Any]]] = {  # module -> name -> the library that asks for it, and what it gets
    "open_clip.coca_model": {"CoCa": ("open_clip", StandIn("open_clip.coca_model", "CoCa"))},
    "open_clip.hf_model": {"HFTextEncoder": ("open_clip", StandIn("open_clip.hf_model", "HFTextEncoder"))},
    "open_clip.push_to_hf_hub": {
        name: ("open_clip", StandIn("open_clip.push_to_hf_hub", name)) for name in ("push_pretrained_to_hf_hub", "push_to_hf_hub")
    },
    "open_clip.timm_model": {"TimmModel": ("open_clip", StandIn("open_clip.timm_model", "TimmModel"))},
    "torch._dynamo": {
        "OptimizedModule": ("lightning", StandIn("torch._dynamo.eval_frame", "OptimizedModule")),
        "disable": ("torch", not_compiled),
    },
    "torchmetrics.utilities.plot": {
        "_AX_TYPE": ("torchmetrics", StandIn("matplotlib.axes", "Axes")),
        "_PLOT_OUT_TYPE": ("torchmetrics", StandIn("torchmetrics.utilities.plot", "_PLOT_OUT_TYPE")),
        "plot_single_or_multi_val": ("torchmetrics", StandIn("torchmetrics.utilities.plot", "plot_single_or_multi_val")),
    },
}


def install() -> None:
    """From now on."""
    sys.meta_path.insert(0, _RunWhenUsed())


class _RunWhenUsed(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        around = fullname.rpartition(".")[0]
        package = sys.modules.get(around)
        at_hand = {module for modules in _AT_HAND.get(around, {}).values() for module in modules}
        if isinstance(package, _Face) and fullname not in at_hand:  # it is run before what it consists of, as ever
            _run(package)
            if fullname in sys.modules:
                return spec_from_loader(fullname, _AsItIs(sys.modules[fullname]))
        if fullname not in _AT_HAND and fullname not in _STAND_INS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FaceLoader(spec.loader)
        return spec


class _AsItIs(Loader):
    """Of a module that running its package has imported meanwhile, and that Python would run again by a `__spec__` of its own."""

    def __init__(self, module: ModuleType):
        self._module, self._spec = module, module.__spec__
        module.__spec__ = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _FaceLoader(Loader):
    """Leaves a module's own `loader` for later."""

    def __init__(self, loader: Loader):
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__class__ = _Face


class _Face(ModuleType):
    """A module before it is run."""

    def __getattr__(self, name: str) -> Any:
        if name == "_logger":  # torchmetrics.utilities', which the classes at hand stand on
            return logging.getLogger(self.__name__)
        if name == "__version__" and "." not in self.__name__:
            return version(self.__name__)
        if name.startswith("__"):  # of those who look through all modules
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        at_hand = _AT_HAND.get(self.__name__, {})
        if name in at_hand:
            return getattr([import_module(module) for module in at_hand[name]][-1], name)
        library, stand_in = _STAND_INS.get(self.__name__, {}).get(name, ("", None))
        if library and _asking() == library:
            return stand_in
        _run(self)
        return getattr(self, name)


def _asking() -> str:
    """The top-level package of the module that is looking into another."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("_frozen_importlib", "importlib._bootstrap"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _run(module: ModuleType) -> None:
    """What importing would have done."""
    module.__class__ = ModuleType
    assert isinstance(module.__loader__, Loader)
    module.__loader__.exec_module(module)
