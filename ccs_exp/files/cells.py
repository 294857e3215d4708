"""Texts as cells of tables that people open: models and files say what they like, and no program obeys it."""

from __future__ import annotations

import re

CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # what a terminal obeys; neither tab nor line feed
_BEFORE_CONTROL = re.compile(rf"(\\*)({CONTROL})|(\\+)(?=u([0-9a-f]{{4}}))")
_ESCAPED = re.compile(r"(\\+)u([0-9a-f]{4})")
_FORMULA = re.compile(r"'*[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")  # and the wide forms, which some spreadsheets take for the same


def to_cell(text: str) -> str:
    """A text as a cell of a file that people open: no formula for a spreadsheet, nothing that a terminal obeys. `from_cell` reads it.

    >>> to_cell("=1+1"), to_cell("-0.5 or so"), to_cell("'tis"), to_cell("a\\x1b[2Jb")
    ("'=1+1", "'-0.5 or so", "'tis", 'a\\\\u001b[2Jb')
    """

    def escaped(match: re.Match[str]) -> str:
        if match[2] is not None:
            return "\\" * (2 * len(match[1]) + 1) + f"u{ord(match[2]):04x}"
        return match[3] * (2 if _is_control(match[4]) else 1)

    text = _BEFORE_CONTROL.sub(escaped, text)
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` was given; cells that it cannot have written are texts as they are."""

    def original(match: re.Match[str]) -> str:
        if not _is_control(match[2]):
            return match[0]
        half, odd = divmod(len(match[1]), 2)
        return "\\" * half + (chr(int(match[2], 16)) if odd else f"u{match[2]}")

    cell = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    return _ESCAPED.sub(original, cell) if "\\" in cell else cell


def _is_control(digits: str) -> bool:
    return re.fullmatch(CONTROL, chr(int(digits, 16))) is not None
