"""The code that a kept result rests on, as part of its key: told from the sources, without importing anything.

Two results under one key must come from the same code, so the key has a digest of every module that the stage's entry points reach by
import, and the versions of the libraries that compute among what these modules import. An edited comment costs a computation; a number
that somebody forgot to raise would cost a wrong table.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, NamedTuple

# the distributions whose version decides what an import computes
_COMPUTE = {
    "torch": ("torch",),
    "open_clip": ("open_clip_torch", "timm", "torchvision", "pillow"),  # what it preprocesses with
    "timm": ("timm",),
    "torchvision": ("torchvision",),
    "transformers": ("transformers", "tokenizers"),
    "lightning": ("lightning",),
    "numpy": ("numpy",),
    "PIL": ("pillow",),
    "av": ("av",),
    "datasets": ("datasets",),
    "pyarrow": ("pyarrow",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "statsmodels": ("statsmodels",),
    "matplotlib": ("matplotlib",),
    "sentence_transformers": ("sentence-transformers", "transformers"),
}
# An import statement begins its line; regular expressions take a fiftieth of the time of Python's parser (`tests/store/test_code.py`
# holds them to it).
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n(]+))", re.MULTILINE)
_FOR_TYPES_ALONE = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)+", re.MULTILINE)
_COMMENT = re.compile(r"#.*")


class _Module(NamedTuple):
    """A source file: its digest, and what it imports, where ``a.b`` may be a module or a name in the module ``a``."""

    sha256: str
    imports: tuple[str, ...]


def code_of(*entry_points: str) -> dict[str, Any]:
    """The code behind `entry_points`: modules, or names in modules as a ``_target_`` has them. Part of a key.

    Followed are imports within the entry points' own top-level packages; of those that cannot be found nothing is known.
    """
    names = sorted(set(entry_points))
    reached = _reached(tuple(names))
    digest = hashlib.sha256("".join(f"{name} {_read(name).sha256}\n" for name in reached).encode()).hexdigest()
    outside = {item.split(".")[0] for name in reached for item in _read(name).imports}
    libraries = sorted({found for name in outside for found in _COMPUTE.get(name, ())})
    return {"entry_points": names, "source": digest, "libraries": {name: _version(name) for name in libraries}}


def is_of_this_code(key: Mapping[str, Any]) -> bool:
    """Whether the entry of that key can still be found: the code that it names is what is installed now."""
    code = key.get("code")
    try:
        return isinstance(code, dict) and code == code_of(*code["entry_points"])
    except (KeyError, TypeError, AttributeError):
        return False


@cache
def _reached(entry_points: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that the entry points reach, the packages that they lie in included, by name."""
    packages = {name.split(".")[0] for name in entry_points}
    found: set[str] = set()
    names = set(entry_points)
    while names:
        new = {module for name in names if name.split(".")[0] in packages for module in _modules_of(name)} - found
        names = {name for module in new for name in _read(module).imports}
        found |= new
    return tuple(sorted(found))


@cache
def _modules_of(name: str) -> tuple[str, ...]:
    """The module that `name` is or lies in, and the packages around it, whose ``__init__.py`` is run first."""
    modules = accumulate(name.split("."), "{}.{}".format)
    return tuple(takewhile(module_file, modules))


@cache
def module_file(module: str) -> Path | None:
    """The source of a module, found without importing it; None where there is none."""
    root, *below = module.split(".")
    spec = find_spec(root)  # of a top-level package: nothing is imported
    if spec is None or spec.origin is None:
        return None
    if not below:
        return Path(spec.origin) if spec.origin.endswith(".py") else None
    place = os.path.join(os.path.dirname(spec.origin), *below)
    candidates = (f"{place}.py", f"{place}/__init__.py") if spec.submodule_search_locations else ()
    return next((Path(path) for path in candidates if os.path.isfile(path)), None)


@cache  # a process computes with what it has imported, so what it read once holds until it ends
def _read(module: str) -> _Module:
    path = module_file(module)
    assert path is not None, module
    content = path.read_bytes()
    text = _FOR_TYPES_ALONE.sub("", content.decode("utf-8", "replace"))
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    return _Module(hashlib.sha256(content).hexdigest(), tuple(_imports(text, package)))


def _imports(text: str, package: list[str]) -> Iterator[str]:
    for source, names, modules in _IMPORT.findall(text):
        if modules:
            yield from (part.split()[0] for part in _COMMENT.sub("", modules).split(",") if part.split())
            continue
        dots = len(source) - len(source.lstrip("."))
        base = ".".join(filter(None, [*package[: len(package) - dots + 1], source.lstrip(".")])) if dots else source
        yield base
        listed = _COMMENT.sub("", names).strip("()\n \t").split(",")
        yield from (f"{base}.{part.split()[0]}" for part in listed if part.split())


@cache
def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None  # an optional one
