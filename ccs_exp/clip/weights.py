"""Reading a checkpoint's file into a model, and in a sentence why one does not load: torch's words are long, and advise to run pickles."""

from __future__ import annotations

import logging
import pickle
import re
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

from ccs_exp.clip.model import WeightsOrigin
from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.torchscript import archived_state, is_torchscript
from ccs_exp.errors import CcsError
from ccs_exp.files import some
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
_CHECK = "Check that the file is whole and that model.name is its architecture."
_NAMES = r'{} key\(s\) in state_dict: ((?:"[^"]+"(?:, )?)+)'
_SHAPE = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\(\[([^\]]*)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[([^\]]*)\]\)"
)


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
                state = archived_state(path)
                for setting in ("input_resolution", "context_length", "vocab_size"):
                    state.pop(setting, None)
                clip.load_state_dict(state)
            else:
                load_checkpoint(clip, str(path), weights_only=True)
        return WeightsOrigin(described, digest.result(), path)
    except _UNREADABLE as error:
        raise CcsError(f"{path} does not load as weights of {name}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Sentences for `error`, raised by torch or safetensors as they read a file or put it into a model."""
    told = " ".join(str(error).split())
    if isinstance(error, pickle.UnpicklingError | IndexError | EOFError):
        return _of_pickle(told)
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]}. {_CHECK}"
    missing, unknown = _names("Missing", told), _names("Unexpected", told)
    parts = [f"it lacks {some(missing, 3)}"] if missing else []
    parts += [f"it has {some(unknown, 3)}, which the model has not"] if unknown else []
    parts += [f"it has other shapes: {some(shapes, 3)}"] if (shapes := _shapes(told)) else []
    if parts:
        return f"{', and '.join(parts)}. {_way_out(missing, unknown)}"
    return f"{told[:300].rstrip('.') or type(error).__name__}{'...' if len(told) > 300 else '.'} {_CHECK}"


def _of_pickle(told: str) -> str:
    held = re.search(r"GLOBAL (\S+)", told)
    if held:
        return (
            f"it is pickled and holds {held[1]} beside numbers; nothing but numbers is read, since what is pickled can be code. If you "
            "trust it, take the weights out: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')."
        )
    why = told.partition("WeightsUnpickler error: ")[2].partition(" Check the documentation")[0]
    why = f" ({why[:100].rstrip('.')})" if why else ""
    return f"it is no file of PyTorch's that holds weights{why}. {_CHECK}"


def _way_out(missing: list[str], unknown: list[str]) -> str:
    if any(name.startswith("vision_model.") for name in unknown):
        return "Its names are those of transformers: model=hf model.name=FOLDER, the folder with its config.json, reads it."
    prefix = next((name.removesuffix(missing[0]) for name in unknown if missing and name.endswith(f".{missing[0]}")), "")
    if prefix:
        return f"Save it with names that do not begin with {prefix!r}."
    return _CHECK


def _names(kind: str, told: str) -> list[str]:
    found = re.search(_NAMES.format(kind), told)
    return re.findall(r'"([^"]+)"', found[1]) if found else []


def _shapes(told: str) -> list[str]:
    return [f"{name} is {_size(theirs)} instead of {_size(ours)}" for name, theirs, ours in _SHAPE.findall(told)]


def _size(numbers: str) -> str:
    return numbers.replace(", ", " x ") or "one number"


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
