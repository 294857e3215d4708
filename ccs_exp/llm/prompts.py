"""Prompts: readable text files, whose blocks ``[system]``, ``[user]`` and ``[assistant]`` are the messages as they are sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ccs_exp.config.schema import config_dir
from ccs_exp.config.secrets import hide_secrets
from ccs_exp.errors import CcsError
from ccs_exp.files import clean, read_text

_ROLE = re.compile(r"^\[(system|user|assistant)\][ \t]*$", re.MULTILINE)

_PLACE = re.compile(r"(?<!\$)\$([a-z_]+)")

Message = dict[str, str]


@dataclass(frozen=True)
class Prompt:
    """A file of messages with places to fill; ``$$`` is a dollar sign. What prompts share stands in ``conf/prompts/parts/<place>.txt``."""

    name: str
    messages: tuple[tuple[str, Template], ...]
    sha256: str

    def fill(self, **values: str) -> list[Message]:
        return [{"role": role, "content": template.substitute(values)} for role, template in self.messages]


def read_prompt(path: str | Path | None, packaged: str, places: Sequence[str]) -> Prompt:
    """Read a prompt.

    Args:
        path: a file of one's own; None: `packaged`, of ``conf/prompts``.
        places: what the prompt must have a place for, as in ``("label", "description")``, and may have no other.

    Raises:
        CcsError: no such file, no messages in it, a place that is missing or unknown.
    """
    path = Path(path).expanduser() if path else Path(config_dir(), "prompts", packaged)
    text = _PLACE.sub(_part, read_text(path))
    if hide_secrets(text) != text:
        raise CcsError(f"The prompt {path} holds a secret of the environment, which would be sent with every request. Take it out.")
    head, *blocks = _ROLE.split(text)
    if not blocks or head.strip():
        raise CcsError(f"The prompt {path} must consist of blocks that start with a line [system], [user] or [assistant].")
    messages = tuple((role, Template(content.strip())) for role, content in zip(blocks[::2], blocks[1::2], strict=True))
    invalid = [role for role, template in messages if not template.is_valid()]
    if invalid:
        raise CcsError(f"The prompt {path} has a $ in its [{invalid[0]}] block that names no place. Write $$ for a dollar sign.")
    found = {place for _, template in messages for place in template.get_identifiers()}
    if found != set(places):
        wanted = " and ".join(f"${place}" for place in places)
        raise CcsError(f"The prompt {path} has the places {sorted(found) or 'none'}; it needs {wanted}, and no other.")
    if messages[-1][0] != "user":
        raise CcsError(f"The prompt {path} must end with a [user] block, which the reply answers.")
    return Prompt(path.stem, messages, hashlib.sha256(text.encode("utf-8")).hexdigest())


def _part(place: re.Match[str]) -> str:
    part = Path(config_dir(), "prompts", "parts", f"{place[1]}.txt")
    return read_text(part).strip() if part.is_file() else place[0]


def quoted(text: str) -> str:
    """A text as data: in quotation marks, on one line, whatever it holds."""
    line = json.dumps(clean(text), ensure_ascii=False)
    for sign in "\x85\u2028\u2029":  # line breaks to some readers, which JSON leaves as they are
        line = line.replace(sign, f"\\u{ord(sign):04x}")
    return line


def numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {quoted(text)}" for number, text in enumerate(texts, 1))
