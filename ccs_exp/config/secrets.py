"""Secrets: which texts are some, in which forms a text may hold them, and texts and configurations without them.

A secret is the value of an environment variable whose name says so (``OPENAI_API_KEY``, ``*_TOKEN``, ``*_PASSWORD``), a password
in the address that any variable holds, and a text that is an entry's value where the entry's name says so.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.parse
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.errors import CcsError

HIDDEN = "[hidden]"
SHORTEST = 8  # characters of a secret that is looked for in texts; shorter ones are words and numbers, too

_NAME = re.compile(
    r"(key|token|secret|passw(or)?d|passphrase|credentials?|authorization|signature)$|(^|[_.-])(pass|auth|pat|sig)$", re.IGNORECASE
)
_NONE = r"/@\s\"'\\<>"  # no sign of an address before its first slash
# hf://NAME@REVISION has no user
_USER = re.compile(rf"(?<=://)[^{_NONE}:]*:[^{_NONE}]*@|(?<=http://)[^{_NONE}]+@|(?<=https://)[^{_NONE}]+@", re.IGNORECASE)
_QUERY = re.compile(r"://[^\s\"'\\<>?#]*\?([^\s\"'\\<>#]+)")
# a sign as JSON (nested to any depth), URLs and HTML write it; backslashes count as nothing, in texts and in secrets
_ESCAPED = re.compile(r"\\+u([0-9a-fA-F]{4})|%(?:25)*([0-9a-fA-F]{2})|&#x0*([0-9a-fA-F]{1,4});|&#0*([0-9]{1,5});|\\+")


def names_a_secret(name: str) -> bool:
    """Whether what is called so is a secret: ``api_key``, ``HF_TOKEN``; not ``max_tokens``."""
    return _NAME.search(name) is not None


def hide_secrets(text: str, *more: str) -> str:
    """`text` without secrets of the environment and `more` of them, as they are, escaped or in base 64; without users in addresses."""
    forms = _forms(_of_environment() | {secret for secret in more if len(secret) >= SHORTEST})
    view, place = _unescaped(text)
    spans = sorted(found.span() for form in forms if form in view for found in re.finditer(re.escape(form), view))
    pieces, end = [], 0
    for first, last in ((place(first, False), place(last, True)) for first, last in spans):
        if first >= end:
            pieces += [text[end:first], HIDDEN]
        end = max(end, last)
    return _USER.sub(f"{HIDDEN}@", "".join([*pieces, text[end:]]))


def without_secrets(value: Any) -> Any:
    """`value` with every entry hidden whose name says that it is a secret, and every text without those of the environment."""
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN if names_a_secret(str(key)) and isinstance(item, str) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return hide_secrets(value) if isinstance(value, str) else value


def check_no_secrets(cfg: DictConfig) -> None:
    """Raise `CcsError` where a configuration holds a secret, as it is written or once resolved: a run's records repeat it."""
    forms = _forms(_of_environment())
    for key, value in _leaves(cfg, OmegaConf.to_container(cfg, resolve=False)):
        _refuse(key, value, forms)


def refuse_secrets(arguments: Iterable[str]) -> None:
    """Raise `CcsError` if a command line holds a secret: it is written into the run folder."""
    forms = _forms(_of_environment())
    for argument in arguments:
        key, is_override, value = argument.partition("=")
        _refuse(key.lstrip("+~"), value if is_override else None, forms)


def _refuse(key: str, value: Any, forms: Iterable[str]) -> None:
    text = "" if value is None or isinstance(value, bool) else str(value)
    asked = [name for query in _QUERY.findall(text) for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True)]
    address = urllib.parse.unquote(text) if key.endswith("base_url") else ""
    if _USER.search(text) or "@" in address:
        what = "has a user name or password in it"
    elif any(map(names_a_secret, asked)):
        what = "has a key in its query"
    elif re.search("[?#;]", address.replace("???", "")):  # where keys stand, whatever they are called there
        what = "has more than an address in it"
    elif names_a_secret(key.rpartition(".")[2]) and text not in ("", "null", "???"):
        what = "is a secret by its name"
    elif any(form in _unescaped(f"{key} {text}")[0] for form in forms):
        named = [name for name, secret in os.environ.items() if names_a_secret(name) and secret.strip() in f"{key} {text}"]
        what = f"holds a secret of the environment{f' ({named[0]})' if named else ''}"
    else:
        return
    raise CcsError(
        f"{hide_secrets(key)} {what}, which would be written into every record of the run. Leave it out: keys are read from the "
        "environment alone."
    )


def _leaves(node: Any, raw: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values, each as it is written and as it resolves; what does not resolve has no value that could leak."""
    if isinstance(raw, (dict, list)):
        for name, item in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from _leaves(_item(node, name), item, f"{key}.{name}" if key else str(name))
        return
    yield key, raw
    if not isinstance(node, (DictConfig, ListConfig)):  # a container that is referred to stands elsewhere
        yield key, node


def _item(node: Any, name: Any) -> Any:
    try:
        return None if node is None else node[name]
    except OmegaConfBaseException:
        return None


def _of_environment() -> frozenset[str]:
    found = set()
    for name, value in os.environ.items():
        if names_a_secret(name) and not (os.path.isabs(value) and os.path.exists(value)):  # else it says where a secret lies
            found.add(value.strip())
        if "://" in value:
            users = [user[0].rstrip("@").rpartition(":")[2] for user in _USER.finditer(value)]
            found |= {secret for user in users for secret in (user, urllib.parse.unquote(user))}
            queries = [pair for query in _QUERY.findall(value) for pair in urllib.parse.parse_qsl(query)]
            found |= {secret for name, secret in queries if names_a_secret(name)}
    return frozenset(secret for secret in found if len(secret) >= SHORTEST)


@lru_cache(maxsize=4)
def _forms(secrets: frozenset[str]) -> tuple[str, ...]:
    """What to look for in an unescaped text, the longest first."""
    found = set()
    for secret in secrets:
        raw = secret.encode("utf-8", "surrogateescape")
        written = (secret, secret.replace(" ", "+"), urllib.parse.quote(secret), urllib.parse.quote_plus(secret))
        found |= {_unescaped(text)[0] for text in written} | {form.replace("\\", "") for form in (secret, raw.decode("latin-1"))}
        for before, first in enumerate((0, 2, 3)):  # base 64, whatever stands before it
            whole = (before + len(raw)) * 8 // 6  # signs that depend on nothing that follows
            for code in (base64.b64encode, base64.urlsafe_b64encode):
                found.add(code(b"\0" * before + raw).decode()[first:whole])
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _unescaped(text: str) -> tuple[str, Callable[[int, bool], int]]:
    """`text` with escaped signs as they are meant, and for each place in it where in `text` a part of it begins, or where one ends."""
    view, places, origins, end, length = [], [0], [0], 0, 0
    for found in _ESCAPED.finditer(text):
        code, byte, entity, decimal = found.groups()
        number = int(decimal) if decimal else int(code or byte or entity or "5c", 16)
        sign = chr(number).replace("\\", "")
        view += [text[end : found.start()], sign]
        length += found.start() - end
        places += [length, length + len(sign)]
        length, end = length + len(sign), found.end()
        origins += [found.start(), end]
    view.append(text[end:])

    def place(position: int, is_end: bool) -> int:
        index = bisect_left(places, position) if is_end else bisect_right(places, position) - 1
        if index == len(places) or places[index] > position:
            index -= 1
        return origins[index] + position - places[index]

    return "".join(view), place
