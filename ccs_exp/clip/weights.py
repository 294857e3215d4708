"""Reading a checkpoint's file into a model."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from open_clip.factory import load_checkpoint
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from ccs_exp.clip.checkpoint_errors import said
from ccs_exp.clip.model import WeightsOrigin
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.torchscript import archived_state, is_torchscript
from ccs_exp.errors import CcsError
from ccs_exp.store import file_sha256

_UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    KeyError,
    ValueError,
    IndexError,
    AttributeError,
    TypeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    SafetensorError,
)
_INITIALISING = frozenset({init.normal_, init.uniform_, init.kaiming_uniform_})
_DRAWING = frozenset({Tensor.normal_, Tensor.uniform_})
_OF_NUMBERS = frozenset({Tensor.mul, Tensor.fill_, Tensor.triu_})


def load_weights(clip: OpenClip, path: Path, name: str, pretrained: str | None, described: str) -> WeightsOrigin:
    try:
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(file_sha256, path)  # both let other threads compute
            if is_torchscript(path):
                if pretrained != "openai":
                    raise CcsError(
                        f"{path} is a TorchScript archive. Those are read for OpenAI's own checkpoints only (model=vitb32_openai, "
                        "vitb16_openai or vitl14_openai); save the weights as safetensors instead."
                    )
                _load_openai_archive(clip, path)
            else:
                load_checkpoint(clip, str(path), weights_only=True)
        return WeightsOrigin(described, digest.result(), path)
    except _UNREADABLE as error:
        raise CcsError(f"{path} does not load as weights of {name}: {said(error)}") from error


def _load_openai_archive(clip: OpenClip, path: Path) -> None:
    state = archived_state(path)
    for setting in ("input_resolution", "context_length", "vocab_size"):
        state.pop(setting, None)
    clip.load_state_dict(state)


class undrawn(TorchFunctionMode):
    """Models built meanwhile have weights that nobody has drawn: for those that a file's take the place of, all of them.

    Building them on the meta device would not do: what a model computes for itself as it is built, and no file holds, would be lost.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        named = kwargs or {}
        if func in _INITIALISING:
            return named["tensor"]
        if func in _DRAWING:
            return args[0].zero_()  # and not whatever lies there: some go on with it, or draw until it suits them
        if func is torch.randn:
            return torch.zeros(*args, **{name: value for name, value in named.items() if name != "generator"})
        if func in _OF_NUMBERS and args[0].is_meta and not any(isinstance(other, Tensor) for other in args[1:]):
            return args[0]  # there are none to compute with, and torch would import SymPy to say so
        return func(*args, **named)


class quiet_open_clip:
    """open_clip warns that a model has no weights yet; here they are loaded afterwards."""

    def __enter__(self) -> None:
        self.root, self.level = logging.getLogger(), logging.getLogger().level
        self.root.setLevel(logging.ERROR)

    def __exit__(self, *_exception: object) -> None:
        self.root.setLevel(self.level)
