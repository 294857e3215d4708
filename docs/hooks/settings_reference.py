"""Fills ``<!-- settings -->`` in a page: every setting and choice, from the schema, the YAML files in ``conf/`` and their comments."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ccs_exp.config import schema

MARK = "<!-- settings -->"
_CONF = Path(schema.config_dir())
_ENTRY = re.compile(r"^(?P<indent> *)(?P<key>[\w.]+):(?P<value>(?:[^#]|(?<! )#)*?)(?: +# ?(?P<comment>.*))?$")
_FOR_HYDRA = ("defaults", "hydra", "_target_")  # keys that say how a file is read, not what a user sets
_NOT_CHOSEN = {"hydra/hydra_logging", "hydra/job_logging"}  # the program's own


class Setting(NamedTuple):
    """`default` as YAML writes it, empty where each choice brings its own."""

    key: str
    default: str
    description: str


class Choice(NamedTuple):
    """A YAML file of a group; `description` is the comment at its head."""

    name: str
    description: str
    text: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace(MARK, page()) if MARK in markdown else markdown


def page() -> str:
    return "\n\n".join(["## Of every job", _table(job_settings()), *map(_group, groups())])


def groups() -> list[str]:
    """Those that the schema names first, in its order, then the others that have a folder."""
    fields = [field.name for field in dataclasses.fields(schema.Config)]
    folders = {path.parent.relative_to(_CONF).as_posix() for path in _CONF.rglob("*/*.yaml")} - _NOT_CHOSEN
    return [name for name in fields if name in folders] + sorted(folders - set(fields))


def job_settings() -> list[Setting]:
    """Settings beside the groups: their descriptions and defaults stand in ``config.yaml``, those of nested ones in the schema."""
    described = {setting.key: setting for setting in _yaml_settings((_CONF / "config.yaml").read_text(encoding="utf-8"))}
    found = []
    for field in dataclasses.fields(schema.Config):
        if field.name in groups():
            continue
        for setting in _field_settings(schema.Config, field):
            here = described.get(setting.key, setting)
            found.append(here if here.description else here._replace(description=setting.description))
    return found


def group_settings(group: str) -> list[Setting]:
    """What can be set of a group: the schema's fields; where the schema leaves that to the choice, the keys of the YAML files."""
    fields = [field for field in dataclasses.fields(schema.Config) if field.name == group]
    typed = [setting for field in fields for setting in _field_settings(schema.Config, field) if setting.key != group]
    settings = {setting.key: setting for setting in typed if setting.key == "model.name" or not setting.key.endswith(".name")}
    if typed and group != "prune":
        return list(settings.values())
    for choice in choices(group):
        package = re.search(r"^# @package (\S+)", choice.text, re.MULTILINE)
        prefix = package[1] if package else group.replace("/", ".")
        for setting in _yaml_settings(choice.text) if prefix != "_global_" else ():
            key = f"{prefix}.{setting.key}"
            if setting.key != "name" and not (key in settings and settings[key].description):
                settings[key] = setting._replace(key=key)
    return list(settings.values())


def choices(group: str) -> list[Choice]:
    found = []
    for path in sorted((_CONF / group).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        head = [line for line in _leading_comments(text) if not line.startswith("@package")]
        found.append(Choice(path.stem, " ".join(head), text.strip()))
    return found


def _field_settings(owner: type, field: dataclasses.Field[Any], prefix: str = "") -> Iterator[Setting]:
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    key = prefix + field.name
    if dataclasses.is_dataclass(default):
        for inner in dataclasses.fields(default):
            yield from _field_settings(type(default), inner, f"{key}.")
    elif not (isinstance(default, Mapping) and owner is schema.PruneConfig):  # strategies: their YAML files say what can be set
        yield Setting(key, "" if default == "???" else _as_yaml(default), _comments(owner).get(field.name, ""))


def _comments(owner: type) -> dict[str, str]:
    """The comment behind each field of a dataclass."""
    source = inspect.getsource(owner)
    behind = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    return {
        node.target.id: behind.get(node.end_lineno or 0, "")
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _yaml_settings(text: str) -> Iterator[Setting]:
    """The scalar settings of a YAML file, with the comment behind each; what lies below ``source`` is a data set's own affair."""
    above: list[tuple[int, str]] = []
    values = yaml.safe_load(text) or {}
    for line in text.splitlines():
        entry = _ENTRY.match(line)
        if not entry:
            continue
        indent = len(entry["indent"])
        above = [(depth, key) for depth, key in above if depth < indent]
        keys = [*(key for _, key in above), entry["key"]]
        if keys[0] in _FOR_HYDRA or keys[-1] == "_target_" or keys[0] == "source":
            continue
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping) and not entry["value"].strip():
            above.append((indent, entry["key"]))
        else:
            yield Setting(".".join(keys), entry["value"].strip(), entry["comment"] or "")


def _leading_comments(text: str) -> list[str]:
    lines = text.splitlines()
    length = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.lstrip("# ") for line in lines[:length]]


def _as_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def _group(group: str) -> str:
    name = f"+{group}" if group == "experiment" else group
    settings = group_settings(group)
    parts = [f"## {group}", _rows(("choice", ""), [(f"`{name}={it.name}`", it.description) for it in choices(group)])]
    parts += [_table(settings)] if settings else []
    return "\n\n".join(parts + [_file(group, choice) for choice in choices(group)])


def _file(group: str, choice: Choice) -> str:
    indented = "\n".join(f"    {line}".rstrip() for line in choice.text.splitlines())
    return f'??? abstract "conf/{group}/{choice.name}.yaml"\n    ```yaml\n{indented}\n    ```'


def _table(settings: list[Setting]) -> str:
    rows = [(f"`{it.key}`", f"`{it.default}`" if it.default else "", it.description) for it in settings]
    return _rows(("setting", "default", ""), rows)


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_plain, row)) + " |" for row in lines)


def _plain(cell: str) -> str:
    """Text that Markdown takes for nothing else; code stays code."""
    if cell.startswith("`"):
        return cell.replace("|", r"\|")
    return re.sub(r"([\\`*_{}\[\]|])", r"\\\1", cell).replace("<", "&lt;")
