"""Pages of one file: templates in which whatever a name says is text, and a policy that lets a browser use the page's own parts alone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(folder: Path) -> Environment:
    """The templates of a folder; what they are given is escaped, and what they are not given is an error."""
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def policy(css: str, js: str | None = None, more: Mapping[str, str] | None = None) -> str:
    """What a browser may use: exactly this style and script, nothing from elsewhere, and `more`."""
    allowed = {"default-src": "'none'", "style-src": _named(css), "base-uri": "'none'", "form-action": "'none'"}
    allowed |= {"script-src": _named(js)} if js else {}
    return "; ".join(f"{what} {where}" for what, where in (allowed | dict(more or {})).items())


def _named(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
