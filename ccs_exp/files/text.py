"""Text that people write: UTF-8 with or without a byte order mark; other encodings are refused by name."""

from __future__ import annotations

import codecs
import re
import shlex
from pathlib import Path
from typing import NoReturn

from ccs_exp.errors import CcsError

_MARKS = {  # the longer first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_MAY_BE = ("cp1252", "cp1250", "cp1251", "cp1253", "koi8_r", "cp932", "gb18030", "big5", "euc_kr")  # what spreadsheets write


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, its lines ended by ``\\n`` alone.

    Raises `CcsError` for a file that cannot be read or is in another encoding, which it names where that can be told.
    """
    return re.sub("\r\n?", "\n", decoded(path))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, empty ones left out. They end at ``\\n``, ``\\r\\n`` and ``\\r`` and nowhere else."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def decoded(path: Path) -> str:
    """The text of a file in UTF-8 with its line ends as they are; raises as `read_text` does."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CcsError(f"{path}: there is no such file. Check the name; relative names count from the working directory.") from error
    except OSError as error:
        raise CcsError(f"{path} cannot be read: {error.strerror}. Give a file that you may read.") from error
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            _refuse(path, f"is {encoding} text", encoding)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        likely, guess = _likely(content), "none that is known"
        if likely:
            line = content[content.rfind(b"\n", 0, error.start) + 1 :].split(b"\n", 1)[0].decode(likely, "replace")
            guess = f"perhaps {likely}, in which it reads {line.strip()[:80]!r}"
        number = content.count(b"\n", 0, error.start) + 1
        _refuse(path, f"is not UTF-8 text: line {number} is in another encoding, {guess}", likely)
    if "\0" in text:
        _refuse(path, "is no text: it holds NUL bytes, as UTF-16 without its mark does", "UTF-16LE")
    return re.sub("(?m)^\ufeff", "", text)  # files put one after the other bring marks to the middle


def _refuse(path: Path, what: str, encoding: str | None) -> NoReturn:
    name = shlex.quote(path.name)
    convert = f"iconv -f {encoding.upper()} -t UTF-8 {name} > utf8-{name}" if encoding else "iconv -f ENCODING -t UTF-8 ..."
    raise CcsError(f"{path} {what}. Save it as UTF-8 (spreadsheets call it CSV UTF-8), or type: {convert}")


def _likely(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    found = [
        (match.chaos, _MAY_BE.index(name))
        for match in from_bytes(content[:100_000], cp_isolation=list(_MAY_BE))
        for name in {match.encoding, *match.could_be_from_charset} & set(_MAY_BE)  # some give the same text
    ]
    return _MAY_BE[min(found)[1]] if found else None
