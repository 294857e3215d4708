"""What a ``_target_`` takes, read from its source without importing it: settings are checked before torch is loaded.

An annotation is the one place that says of which kind a setting is. Kinds that are not known here are left to the constructor.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ccs_exp.store.code import module_file

_LISTS = {"Sequence", "Iterable", "Collection", "list", "tuple", "frozenset", "set", "List", "Tuple"}
_MAPPINGS = {"Mapping", "dict", "Dict"}
_UNIONS = {"Union", "Optional"}
_SCALARS = {"int": "a whole number of at least 0", "float": "a number", "bool": "true or false", "str": "text", "Path": "text"}


class Kind(NamedTuple):
    """What a value may be: an annotation, and the module that explains its names."""

    annotation: ast.expr | None
    module: str

    def admits(self, value: Any) -> bool:
        """Whether `value` is of this kind; whole numbers have no sign in any setting. Always of a kind that is not known."""
        options = list(self._options())
        return any(option is None for option in options) or any(_is(value, option, self.module) for option in options if option)

    @property
    def words(self) -> str:
        return ", or ".join(dict.fromkeys(_words(option, self.module) for option in self._options() if option))

    def _options(self) -> Iterator[ast.expr | None]:
        """The parts of a union, names of types looked up; None for what is not known."""
        waiting: list[ast.expr | None] = [self.annotation]
        while waiting:
            found = waiting.pop(0)
            if isinstance(found, ast.BinOp):
                waiting = [found.left, found.right, *waiting]
            elif isinstance(found, ast.Subscript) and isinstance(found.value, ast.Name) and found.value.id in _UNIONS:
                waiting = [*_inside(found), *([ast.Constant(None)] if found.value.id == "Optional" else []), *waiting]
            elif isinstance(found, ast.Name) and found.id not in _SCALARS and found.id not in _LISTS | _MAPPINGS:
                alias = _assigned(self.module, found.id)
                if alias is None:
                    yield None
                else:
                    waiting.insert(0, alias)
            else:
                yield found if _known(found) else None


class Signature(NamedTuple):
    """The parameters of a class or function, by name. `closed`: it takes no others."""

    parameters: Mapping[str, Kind]
    closed: bool


@cache
def signature(target: str) -> Signature | None:
    """The signature of what ``_target_: target`` names; None where its source cannot be found or read."""
    module, _, name = target.rpartition(".")
    tree = _tree(module)
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _of_function(node, module, node.args.args)
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _of_class(node, module)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return signature(f"{node.module}.{alias.name}")
    return None


def _of_class(node: ast.ClassDef, module: str) -> Signature | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_function(item, module, item.args.args[1:])
    bases = [found for base in node.bases if isinstance(base, ast.Name) and (found := signature(f"{module}.{base.id}"))]
    fields = {
        item.target.id: Kind(item.annotation, module)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and "ClassVar" not in ast.dump(item.annotation)
    }
    inherited = {name: kind for base in bases for name, kind in base.parameters.items()}
    is_record = node.decorator_list or any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)
    return Signature(inherited | (fields if is_record else {}), all(base.closed for base in bases))


def _of_function(node: ast.FunctionDef, module: str, positional: list[ast.arg]) -> Signature:
    """What is handed on as ``**settings`` has the parameters of who takes it."""
    parameters = {argument.arg: Kind(argument.annotation, module) for argument in [*positional, *node.args.kwonlyargs]}
    if node.args.kwarg is None:
        return Signature(parameters, closed=True)
    for call in ast.walk(node):
        called = call.func if isinstance(call, ast.Call) else None
        called = called.value if isinstance(called, ast.Attribute) else called  # a class, for its method
        if isinstance(call, ast.Call) and isinstance(called, ast.Name):
            handed_on = [word.value.id for word in call.keywords if word.arg is None and isinstance(word.value, ast.Name)]
            taker = signature(f"{module}.{called.id}") if node.args.kwarg.arg in handed_on else None
            if taker is not None:
                fixed = {word.arg for word in call.keywords}
                more = {name: kind for name, kind in taker.parameters.items() if name not in fixed}
                return Signature(more | parameters, taker.closed)
    return Signature(parameters, closed=False)


@cache
def _tree(module: str) -> ast.Module | None:
    path = module_file(module)
    return None if path is None else ast.parse(path.read_bytes())


def _assigned(module: str, name: str) -> ast.expr | None:
    """What `name` stands for in the module, as ``Shares = Literal[...]`` says, there or where it is imported from."""
    tree = _tree(module)
    for node in tree.body if tree else ():
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            origins = [alias.name for alias in node.names if (alias.asname or alias.name) == name]
            if origins:
                return _assigned(node.module, origins[0])
    values = [
        node.value
        for node in (tree.body if tree else [])
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
    ]
    return values[0] if values else None


def _inside(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _known(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and node.value.id in _LISTS | _MAPPINGS | {"Literal"}
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and node.value is None)


def _is(value: Any, kind: ast.expr, module: str) -> bool:
    if isinstance(kind, ast.Constant):
        return value is None
    if isinstance(kind, ast.Subscript):
        assert isinstance(kind.value, ast.Name)
        inner = _inside(kind)
        if kind.value.id == "Literal":
            return any(isinstance(item, ast.Constant) and item.value == value and type(item.value) is type(value) for item in inner)
        if kind.value.id in _MAPPINGS:
            return isinstance(value, Mapping) and all(Kind(inner[-1], module).admits(item) for item in value.values())
        return isinstance(value, list | tuple) and all(Kind(inner[0], module).admits(item) for item in value)
    assert isinstance(kind, ast.Name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "int": number and isinstance(value, int) and value >= 0,
        "float": number and math.isfinite(value),
        "bool": isinstance(value, bool),
    }.get(kind.id, isinstance(value, Mapping if kind.id in _MAPPINGS else list | tuple if kind.id in _LISTS else str))


def _words(kind: ast.expr, module: str) -> str:
    if isinstance(kind, ast.Constant):
        return "null"
    if isinstance(kind, ast.Name):
        return _SCALARS.get(kind.id, "a list" if kind.id in _LISTS else "a mapping")
    assert isinstance(kind, ast.Subscript) and isinstance(kind.value, ast.Name)
    inner = _inside(kind)
    if kind.value.id == "Literal":
        return "one of " + ", ".join(str(item.value) for item in inner if isinstance(item, ast.Constant))
    if kind.value.id in _MAPPINGS:
        return f"a mapping, each {Kind(inner[-1], module).words or 'of its kind'}"
    return f"a list, each {Kind(inner[0], module).words or 'of its kind'}"
