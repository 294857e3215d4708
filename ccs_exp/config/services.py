"""Services that speak the chat-completions protocol: where they are, what they support, and what a configuration may ask of them."""

from __future__ import annotations

import os
import re
import unicodedata
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ccs_exp.config.settings import Number
from ccs_exp.errors import CcsError
from ccs_exp.files import read_yaml

FEATURES = ("schema", "temperature", "seed", "logprobs", "batch")

_NUMBERS = {
    **dict.fromkeys(("concurrency", "attempts", "max_tokens"), Number(1)),
    **dict.fromkeys(("thinking_tokens", "draw"), Number(0)),
    "seed": Number(0, others=(None,)),
    "temperature": Number(0, parts=True, others=(None,)),
    "timeout_s": Number(0.1, parts=True),
    "poll_s": Number(0.01, parts=True),
    "max_cost_usd": Number(0, parts=True, others=(None,)),
}
_OF_JUDGES = ("defaults", "name", "_target_", "prompt", "descriptions_per_request")  # and of no other that asks
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True)
class Service:
    """An entry of ``conf/services.yaml``."""

    name: str
    url: str
    url_variable: str | None
    key_variable: str
    needs_key: bool
    max_tokens: str
    supports: frozenset[str]

    def address(self, base_url: str | None) -> str:
        """Where requests go: `base_url`, the service's environment variable, or its own address."""
        return (base_url or (self.url_variable and os.environ.get(self.url_variable)) or self.url).strip().rstrip("/")

    def key(self) -> str | None:
        """The key, without white space at its ends. Raises `CcsError`, which never shows it, for what no header of a request can carry."""
        key = os.environ.get(self.key_variable, "").strip()
        strange = [sign for sign in key if not "!" <= sign <= "~"]
        if strange:
            name = unicodedata.name(strange[0], "a control character")
            raise CcsError(
                f"The environment variable {self.key_variable} holds no key: {name} (U+{ord(strange[0]):04X}) is in it, which no request "
                "can carry. Set it again, the key alone: no typographic quotes, no spaces or line ends within."
            )
        return key or None


def load_service(conf: Path, name: str, supports: Mapping[str, bool | None] | None = None) -> Service:
    """The service of that name, with corrections of what it supports (None: none). Raises `CcsError` for unknown names and features."""
    known = _table(conf / "services.yaml")
    if name not in known:
        raise CcsError(f"No service {name!r} is known. Choose one of: {', '.join(known)}; for any other server, service=local.")
    entry = dict(known[name])
    unknown = sorted(set(supports or {}) - set(FEATURES))
    if unknown:
        raise CcsError(f"supports.{unknown[0]} is not known. What a service may support: {', '.join(FEATURES)}.")
    features = entry.pop("supports") | {name: value for name, value in (supports or {}).items() if value is not None}
    wrong = [key for key in ("url", "key_variable", "max_tokens") if not isinstance(entry.get(key), str)]
    if wrong:
        raise CcsError(f"{conf / 'services.yaml'}: {wrong[0]} of {name} is a text, not {entry.get(wrong[0])!r}.")
    return Service(name, supports=frozenset(feature for feature in FEATURES if features[feature]), **entry)


def check_asked(service: Service, settings: Mapping[str, Any], where: str) -> None:
    """Raise `CcsError` where `settings` ask for a feature that the service lacks, or hold what no request can have.

    Args:
        where: how the settings are called on the command line (``judge``).
    """
    if not settings.get("model"):
        raise CcsError(f"Still needed: {where}.model=... Name the model as the server does.")
    _check_values(settings, where)
    absent = {"temperature": None, "seed": None, "logprobs": False, "batch": False}
    for feature, nothing in absent.items():
        asked = settings.get(feature, nothing)
        if feature not in service.supports and asked is not None and asked is not False:  # 0 is asked for
            word = "null" if nothing is None else "false"
            raise CcsError(
                f"{where}.{feature}={str(asked).lower()}: {service.name} does not support {feature}. It supports "
                f"{', '.join(sorted(service.supports))}. Set {where}.{feature}={word}, or, if your server does support it, "
                f"{where}.supports.{feature}=true."
            )
    check_url(settings.get("base_url"), f"{where}.base_url")


def _check_values(settings: Mapping[str, Any], where: str) -> None:
    for key, number in _NUMBERS.items():
        if not number.admits(settings.get(key, number.least)):
            raise CcsError(f"{where}.{key}={settings[key]}: give {number.words}.")
    for key in ("logprobs", "batch", "kept_only"):
        if not isinstance(settings.get(key, False), bool):
            raise CcsError(f"{where}.{key}={settings[key]}: give true or false.")
    if settings.get("descriptions_per_request", 1) not in (1, 5):
        raise CcsError(f"{where}.descriptions_per_request={settings['descriptions_per_request']} is not known. Choose 1 or 5.")


def check_parts(conf: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what a configuration asks of language models, before anything is loaded.

    Args:
        parts: ``labeler`` and ``judge`` as configured; those that ask no service are left alone, the members of a panel are not.
    """
    for where, settings in parts.items():
        members = settings.get("judges") or {}
        for name, member in {where: settings, **{f"{where}.judges.{name}": member for name, member in members.items()}}.items():
            if "service" in member:
                check_asked(load_service(conf, member["service"], member.get("supports")), member, name)
    services = [parts[where].get("service") for where in ("labeler", "judge")]
    urls = [parts[where].get("base_url") for where in ("labeler", "judge")]
    if None not in (*services, *urls) and services[0] != services[1] and urls[0] == urls[1]:
        # a key would be sent to another service than its own
        raise CcsError(
            f"judge.base_url={urls[1]} would be the labeler's address too, but labeler={services[0]} and judge={services[1]} are "
            "different services. Give labeler.base_url as well: null for its own address."
        )


def check_url(url: str | None, where: str) -> None:
    """Raise `CcsError` unless `url` is None or an http address without user name, password and query in it."""
    if url is None:
        return
    if "@" in url or "?" in url:
        what = "a user name or password" if "@" in url else "a query"
        raise CcsError(
            f"{where} has {what} in it, which would be written into every record of the run. Give the address alone; a key comes from "
            "the environment."
        )
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:  # brackets without an end, a port that is none
        good = False
    if not good:
        raise CcsError(f"{where}={url} is no address. Give one as in {where}=http://127.0.0.1:8000/v1.")


def without_user(url: str) -> str:
    """`url` without a user name and password, as it may be recorded."""
    return _USER_IN_URL.sub("", url)


def usual_settings(conf: Path, service: str) -> dict[str, Any]:
    """How models of a service are asked where nothing else is said: the settings of ``conf/judge/<service>.yaml``.

    Raises `CcsError` for unknown services.
    """
    load_service(conf, service)
    files = [file for file in (conf / "judge" / "openai.yaml", conf / "judge" / f"{service}.yaml") if file.is_file()]
    return {key: value for file in files for key, value in _table(file).items() if key not in _OF_JUDGES}


def as_judge(conf: str, key: str, *, _parent_: DictConfig, _root_: DictConfig) -> Any:
    """The judge's setting, or where the judge asks no language model, the usual one of the service that `_parent_` asks."""
    return _root_.judge[key] if key in _root_.judge else usual_settings(Path(conf), _parent_.service)[key]


@cache
def _table(path: Path) -> dict[str, Any]:
    return read_yaml(path)
