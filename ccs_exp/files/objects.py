"""JSON and YAML that people write: every key once, every value of its type."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ccs_exp.errors import CcsError
from ccs_exp.files.text import decoded, read_text

_YAML_BREAKS = re.compile("[\x85\u2028\u2029]")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_KINDS: Mapping[type, str] = {str: "a text", list: "a list of texts"}


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises `CcsError` for what is none, a key that stands twice in one object, and broken characters."""
    text = decoded(path)
    try:
        found = parse_json(text)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair, which "\ud800" gives, is no character
        if _NUL.search(text):
            raise ValueError("it holds the character NUL (\\u0000)")
    except ValueError as error:
        raise CcsError(f"{path} cannot be read as JSON: {error}.") from error
    return found


def parse_json(text: str) -> Any:
    """What JSON says. Raises ValueError for what is none, a key that stands twice in one object, and numbers that JSON has not."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_entries(path: Path, needed: Mapping[str, type], optional: Mapping[str, type] | None = None) -> list[dict[str, Any]]:
    """A JSON list of objects. Values are texts (`str`) or lists of texts (`list`) as `needed` says; `optional` ones may be null.

    Raises `CcsError`, with file and entry, for anything else. Keys that nobody asked for may have any value.
    """
    entries = read_json(path)
    keys = " and ".join(f"{key} ({_KINDS[kind]})" for key, kind in needed.items())
    if not isinstance(entries, list):
        raise CcsError(f"{path} must hold a list of objects with {keys}, not {_shown(entries)}.")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        if not isinstance(entry, dict) or not needed.keys() <= entry.keys():
            raise CcsError(f"{where} must be an object with {keys}, not {_shown(entry)}.")
        for key, kind in {**needed, **(optional or {})}.items():
            value = entry.get(key)
            if not (_is(value, kind) or (value is None and key not in needed)):
                raise CcsError(f"{where}: {key} is {_KINDS[kind]}, not {_shown(value)}.")
    return entries


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises `CcsError` for what is none, and for a key that stands twice in one mapping."""
    text = read_text(path)
    breaks = _YAML_BREAKS.search(text)
    if breaks:
        line = text.count("\n", 0, breaks.start()) + 1
        raise CcsError(f"{path}, line {line}: the sign {breaks[0]!a}, at which YAML would end the line. Remove it.")
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise CcsError(f"{path} is no readable YAML: {' '.join(str(error).split())}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, str) if kind is str else isinstance(value, list) and all(isinstance(item, str) for item in value)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the base is chosen when it runs
    """YAML's safe loader, but a key written twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted(str(name) for name, times in Counter(map(str, names)).items() if times > 1)
        if twice:
            raise yaml.YAMLError(f"{', '.join(twice)} stands twice in one mapping, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)
