"""Mistakes on a command line, said so that they can be mended: what is not known and what was meant instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from ccs_exp.config.place import config_dir
from ccs_exp.files import read_yaml

_UNKNOWN_CHOICE = re.compile(r"Could not (?:find|load) '([\w/]+)/([^'/]+)'")
_UNKNOWN_KEY = re.compile(r"Could not override '([^']+)'")
_MERGED = re.compile(r"Error merging override (.+)", re.DOTALL)
_WANTED = {  # what OmegaConf says of a value, and what it should be
    r"converted to Integer": "a whole number",
    r"converted to Float": "a number",
    r"not a valid bool": "true or false",
    r"is not a ListConfig": "a list, as in '{key}=[a,b]'",
    r"Cannot assign .* to Dict|is not a subclass of": "a mapping, as in '{key}={{a: b}}'",
    r"not Optional|Incompatible value 'None'": "a value",
    r"Cannot convert .* to string": "text",
    r"not a subclass of str|not a subclass of int": "a list of its kind",
}


def explained(error: Exception) -> str:
    """One paragraph: what the configuration's libraries say of a command line, in this project's words."""
    said = str(error)
    unknown = _UNKNOWN_CHOICE.search(said)
    known = sorted(path.stem for path in Path(config_dir(), unknown[1]).glob("*.yaml")) if unknown else []
    if unknown and known:
        return f"{unknown[1]}={unknown[2]} is not known. Choose one of: {', '.join(known)}."
    key, merged = _UNKNOWN_KEY.search(said), _MERGED.match(said)
    if key:
        return unknown_setting(key[1])
    if merged and isinstance(error.__cause__, ConfigKeyError | ConfigAttributeError) and error.__cause__.full_key:
        return unknown_setting(error.__cause__.full_key)
    if merged and isinstance(error.__cause__, OmegaConfBaseException):
        for pattern, wanted in _WANTED.items():
            if re.search(pattern, str(error.__cause__)):
                return f"{merged[1]}: give {wanted.format(key=error.__cause__.full_key)}."
    causes = [said, str(error.__cause__ or "")] if isinstance(error, HydraException) else [said]
    return " ".join(" ".join(dict.fromkeys(causes)).split())


def unknown_setting(key: str, more: Collection[str] = ()) -> str:
    """That there is no such setting here, and which was meant: one of another choice, or the nearest in spelling."""
    choices = known_settings().get(key, frozenset())
    if choices:
        named = " or ".join(sorted(choices))
        together = ""
        if all(choice.startswith("prune=") for choice in choices):
            name = key.split(".")[1]  # prune.random.seeds is of the strategy random, whatever sets of strategies hold that
            together = f" One job evaluates several strategies in one pass: 'prune=[high_ccs,{name}]' {key}=..."
        return f"{key} is a setting of {named}, which is not chosen here. Choose it, or leave {key} out.{together}"
    if key in _groups():
        return f"{key} is chosen by name, as --help lists them; its settings are set one by one, as {key}.SETTING=VALUE."
    near = difflib.get_close_matches(key, [*known_settings(), *more, *_groups()], n=1, cutoff=0.75)
    meant = f" Did you mean {near[0]}?" if near else " --cfg job shows all settings of a command line."
    return f"There is no setting {key}.{meant}"


def _groups() -> list[str]:
    return sorted(path.name for path in Path(config_dir()).iterdir() if path.is_dir())


@cache
def known_settings() -> dict[str, frozenset[str]]:
    """All settings, dotted, each with the choices that have it (``prune=random``); with none where every job has it."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(config_dir()).glob("*/*.yaml")):
        if path.parent.name == "experiment":  # which has none of its own
            continue
        package = re.search(r"^# @package (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        prefix = path.parent.name if package is None else package[1].replace("_global_", "")
        for key in _dotted(read_yaml(path) or {}, f"{prefix}." if prefix else ""):
            found.setdefault(key, set()).add(f"{path.parent.name}={path.stem}")
    schema = ConfigStore.instance().load("schema.yaml").node
    always = dict.fromkeys(_dotted(schema, ""), frozenset[str]())
    return {key: frozenset(choices) for key, choices in found.items()} | always


def _dotted(node: Mapping[str, Any] | DictConfig, prefix: str) -> Iterator[str]:
    for key in map(str, node):
        if key in ("_target_", "defaults", "hydra"):
            continue
        yield f"{prefix}{key}"
        value = None if isinstance(node, DictConfig) and OmegaConf.is_missing(node, key) else node[key]
        if isinstance(value, Mapping | DictConfig):
            yield from _dotted(value, f"{prefix}{key}.")
