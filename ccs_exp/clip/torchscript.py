"""The parameters and buffers of a TorchScript archive, read as data: nothing in the archive is run or compiled.

An archive is a zip of the pickled object tree, ``data.pkl``; the numbers, ``data/0`` and so on; and the source of each class under
``code/``, of which only the two lists of names are looked at. `torch.jit.load` would run an object's ``__setstate__``.
"""

from __future__ import annotations

import ast
import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
_LONGEST_SOURCE = 2**24  # bytes; a class takes thousands, and compressed ones could unfold to anything
_NAMES = re.compile(r"^  __(?:parameters|buffers)__ = (\[[^\]]*\])$", re.MULTILINE)


def is_torchscript(path: Path) -> bool:
    """Whether the file is an archive with code, as `torch.jit.save` writes."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.endswith("/constants.pkl") for entry in archive.namelist())


def archived_state(path: Path) -> dict[str, Tensor]:
    """What ``torch.jit.load(path).state_dict()`` gives.

    Raises `pickle.UnpicklingError` for an archive that holds more than modules, numbers, texts, lists and dictionaries of them;
    `KeyError`, `ValueError` or `RuntimeError` for one that is not whole.
    """
    with zipfile.ZipFile(path) as file:
        archive = _Archive(file)
        return dict(archive.state(archive.objects(), ""))


class _Module:
    """An object of one of the archive's classes: what was saved of it, and nothing that its class does."""

    qualified_name: str
    saved: dict[str, Any]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):  # what a class's own __setstate__ would have made something of
            raise pickle.UnpicklingError(f"{self.qualified_name} restores itself by code of its own, which is not run.")
        self.saved = state


class _Archive:
    def __init__(self, file: zipfile.ZipFile):
        self.file, self.folder = file, file.namelist()[0].split("/")[0]
        if f"{self.folder}/byteorder" in file.namelist() and self.stored("byteorder") != b"little":
            raise ValueError("The archive was written by a big-endian machine.")

    def stored(self, name: str) -> bytes:
        """A record that is not compressed, and so no longer than the file."""
        record = self.file.getinfo(f"{self.folder}/{name}")
        if record.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed, which torch's archives are not.")
        return self.file.read(record)

    def objects(self) -> object:
        return _Unpickler(io.BytesIO(self.stored("data.pkl")), self).load()

    def state(self, module: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
        """The parameters and buffers of a module, then those of the modules in it, under their full names."""
        if not isinstance(module, _Module):
            raise pickle.UnpicklingError(f"The archive holds a {type(module).__name__}, not a module.")
        for name in self.tensor_names(module.qualified_name):
            if module.saved[name] is not None:
                yield prefix + name, module.saved[name]
        for name, value in module.saved.items():
            if isinstance(value, _Module):
                yield from self.state(value, f"{prefix}{name}.")

    def tensor_names(self, qualified_name: str) -> list[str]:
        """The names of a class's parameters and buffers: a module's other tensors are no part of its state."""
        *modules, class_name = qualified_name.split(".")
        record = self.file.getinfo(f"{self.folder}/code/{'/'.join(modules)}.py")
        if record.file_size > _LONGEST_SOURCE:
            raise ValueError(f"{record.filename} has {record.file_size:,} bytes, too many for the source of a class.")
        source = self.file.read(record).decode()
        own = re.search(rf"^class {re.escape(class_name)}\(Module\):\n((?:  .*\n|\n)*)", source, re.MULTILINE)
        return [] if own is None else [name for names in _NAMES.findall(own[1]) for name in ast.literal_eval(names)]


class _Unpickler(pickle.Unpickler):
    """Knows modules as `_Module`, tensors and their storages, and lists; anything else that a pickle may name is refused."""

    def __init__(self, pickled: io.BytesIO, archive: _Archive):
        super().__init__(pickled)
        self.archive = archive
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return type(name, (_Module,), {"qualified_name": f"{module}.{name}"})
        known: dict[tuple[str, str], type | torch.dtype | Callable] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self.tensor,
            ("torch.jit._pickle", "restore_type_tag"): self.untagged,
            **{("torch.jit._pickle", builder): list for builder in _LISTS},
            **{("torch", storage): dtype for storage, dtype in _STORAGES.items()},
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"The archive asks for {module}.{name}, which is neither a module nor a tensor.")
        return known[module, name]

    def persistent_load(self, reference: Any) -> Tensor:
        """The storage ``("storage", dtype, record, device, numbers)`` as a flat tensor; tied weights share one."""
        _kind, dtype, record, _device, numbers = reference
        if record not in self.storages:
            content = bytearray(self.archive.stored(f"data/{record}"))
            if len(content) != numbers * dtype.itemsize:
                raise ValueError(f"data/{record} has {len(content)} bytes, not those of {numbers} numbers of {dtype}.")
            self.storages[record] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        return self.storages[record]

    @staticmethod
    def tensor(storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_gradient_and_hooks: object) -> Tensor:
        return storage.as_strided(size, stride, offset)  # torch refuses what lies outside of the storage

    @staticmethod
    def untagged(value: object, _type: str) -> object:
        return value
