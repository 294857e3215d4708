"""Every setting by itself: whether anything reads one of that name, and whether its value is of its kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ccs_exp.config.mistakes import unknown_setting
from ccs_exp.config.plain import plain
from ccs_exp.config.signatures import signature
from ccs_exp.errors import CcsError

_OF_HYDRA = {"_target_", "_args_", "_partial_", "_convert_", "_recursive_", "name"}  # and what the command line calls the choice


class Number(NamedTuple):
    """A number of at least `least`, whole unless `parts`; or one of the `others`."""

    least: float
    parts: bool = False
    others: tuple[Any, ...] = ()

    def admits(self, value: Any) -> bool:
        kinds = (int, float) if self.parts else (int,)
        number = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
        return value in self.others or (number and value >= self.least)

    @property
    def words(self) -> str:
        others = "".join(f", or {'null' if other is None else other}" for other in self.others)
        return f"a {'' if self.parts else 'whole '}number of at least {self.least:g}{others}"


def check_settings(cfg: DictConfig) -> None:
    """Raise `CcsError` for a setting that nothing reads, and for a value that is not of its setting's kind.

    Nodes of the schema have its types already; what a ``_target_`` names has the parameters of its source (`signature`).
    """
    _check_node(cfg, "")


def _check_node(node: DictConfig, path: str) -> None:
    """A node of the schema, down to what is built by ``_target_``."""
    schema = OmegaConf.get_type(node)
    names = {field.name for field in fields(schema)} if is_dataclass(schema) else None
    for key in map(str, node):
        where = f"{path}{key}"
        if OmegaConf.is_missing(node, key):
            continue
        value = node[key]
        if names is not None and key not in names:
            raise CcsError(unknown_setting(where))
        if isinstance(value, DictConfig):
            if "_target_" in value:
                check_built(plain(value), where)
            else:
                _check_node(value, f"{where}.")
    gone = sorted((names or set()) - set(node))
    if gone:
        raise CcsError(f"{path}{gone[0]} cannot be taken away. Leave out ~{path}{gone[0]}.")


def check_hydra(node: DictConfig, path: str = "hydra") -> None:
    """Raise `CcsError` for a setting of Hydra's own that it does not have: with ``++`` it takes any, and reads none of them."""
    schema = OmegaConf.get_type(node)
    names = {field.name for field in fields(schema)} if is_dataclass(schema) else None
    for key in map(str, node):
        if names is not None and key not in names and key != "env":  # a group of Hydra's that has no field
            raise CcsError(unknown_setting(f"{path}.{key}", {f"{path}.{name}" for name in names}))
        value = None if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key) else node[key]
        if isinstance(value, DictConfig):
            check_hydra(value, f"{path}.{key}")


def check_built(node: Mapping[str, Any], path: str) -> None:
    """The settings of what a ``_target_`` names, by its parameters, and those of what is built inside."""
    found = signature(str(node["_target_"]))
    for key, value in node.items():
        kind = found.parameters.get(key) if found else None
        for inner, part in _built_inside(value, f"{path}.{key}"):
            check_built(part, inner)
        if found and found.closed and kind is None and key not in _OF_HYDRA:
            raise CcsError(unknown_setting(f"{path}.{key}", {f"{path}.{name}" for name in found.parameters}))
        if kind is not None and key not in _OF_HYDRA and value != "???" and not kind.admits(value):
            raise CcsError(f"{f'Still needed: {path}.{key}=...' if value is None else f'{path}.{key}={_shown(value)}'}: give {kind.words}.")


def _built_inside(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield path, value
        else:
            for key, item in value.items():
                yield from _built_inside(item, f"{path}.{key}")


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value) if value == "" else str(value)
