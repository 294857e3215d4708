"""Concept Consistency Scores of CLIP's attention heads, and what the model loses without them.

>>> import ccs_exp
>>> model = ccs_exp.load_model("tiny")
>>> scores = ccs_exp.score_heads(model)
>>> ccs_exp.evaluate(model, "digits", {"high_ccs": scores.of_class("high")})  # doctest: +SKIP
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ccs_exp.clip import torchvision_operators
from ccs_exp.compute import imported_late

if TYPE_CHECKING:
    from ccs_exp.clip.hooks import masked, recorded
    from ccs_exp.errors import CcsError
    from ccs_exp.heads import Head
    from ccs_exp.notebook import evaluate, evidence, load_model, score_heads

__version__ = "0.1.0"

torchvision_operators.install()
imported_late.install()
warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, which open_clip and the hub import: our bars take no widgets
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait take busy cores from each other
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own pool would keep what tables have freed

__all__ = ["CcsError", "Head", "evaluate", "evidence", "load_model", "masked", "recorded", "score_heads"]

_HOMES = {
    "CcsError": "ccs_exp.errors",
    "Head": "ccs_exp.heads",
    "masked": "ccs_exp.clip.hooks",
    "recorded": "ccs_exp.clip.hooks",
    "evaluate": "ccs_exp.notebook",
    "evidence": "ccs_exp.notebook",
    "load_model": "ccs_exp.notebook",
    "score_heads": "ccs_exp.notebook",
}


class _Face(ModuleType):
    """`evidence` is the function to who uses the package, though a room bears that name, which Python would put in its place."""

    @property
    def evidence(self) -> Any:
        return import_module(_HOMES["evidence"]).evidence

    @evidence.setter
    def evidence(self, room: ModuleType) -> None:
        """What importing a room does; it stays in `sys.modules`, where imports find it."""


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    # late, because torch takes seconds to import and --help should not wait for it
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ccs_exp' has no attribute {name!r}")
