"""Configurations without what nobody else may see."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

_SECRET_NAME = re.compile(r"(^|[_-])(api[_-]?key|key|token|secret|password|credentials?)$", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_HIDDEN = "[hidden]"


def without_secrets(value: Any) -> Any:
    """`value` with every entry hidden whose name says that it is a secret, or that holds one of the environment's secrets."""
    if isinstance(value, Mapping):
        return {
            str(key): _HIDDEN if _SECRET_NAME.search(str(key)) and isinstance(item, str) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return hide_secrets(value) if isinstance(value, str) else value


def hide_secrets(text: str) -> str:
    """`text` without the values of secret environment variables, and without user names and passwords in addresses."""
    for name, secret in os.environ.items():
        if _SECRET_NAME.search(name) and len(secret) >= 8:
            text = text.replace(secret, _HIDDEN)
    return _USER_IN_URL.sub(f"{_HIDDEN}@", text)
