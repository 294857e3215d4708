"""Why a checkpoint does not load, in a sentence, and what to do: torch's own words are long, and of pickles they advise to run them."""

from __future__ import annotations

import pickle
import re

from ccs_exp.files import some

_CHECK = "Check that the file is whole and that model.name is its architecture."
_NAMES = r'{} key\(s\) in state_dict: ((?:"[^"]+"(?:, )?)+)'
_SHAPE = re.compile(
    r"size mismatch for (\S+): copying a param with shape torch\.Size\(\[([^\]]*)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[([^\]]*)\]\)"
)


def said(error: Exception) -> str:
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
