"""Names that look the same and are not: two forms of one Unicode text, ``&amp;`` for ``&``, other spacing or case."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable

_SHOWN = 5


def likeness(text: str) -> str:
    """What two texts share that look the same.

    >>> likeness("Caf\u00e9 &amp;  Bar") == likeness("cafe\u0301 & bar")
    True
    """
    return " ".join(unicodedata.normalize("NFC", html.unescape(text)).split()).casefold()


def look_alikes(missing: Iterable[str], there: Iterable[str]) -> str:
    """A sentence, with a space before it, about those of the `missing` that are probably among those `there`; else nothing."""
    known = {likeness(name): name for name in there}
    pairs = [(name, known[likeness(name)]) for name in missing if known.get(likeness(name), name) != name]
    if not pairs:
        return ""
    shown = some(f"{name!a} and {other!a}" for name, other in pairs)  # in ASCII, because on the screen they may be the same
    return f" Probably the same, written otherwise: {shown}."


def some(items: Iterable[object], shown: int = _SHOWN) -> str:
    """The first few of `items`, and how many more there are.

    >>> some("ab"), some("abcdefgh")
    ('a, b', 'a, b, c, d, e and 3 more')
    """
    texts = [str(item) for item in items]
    rest = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {rest:,} more" if rest > 0 else "")
