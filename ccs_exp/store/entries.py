"""Entries: one file each, that says what it is of and whether it is whole.

``<cache>/<kind>/<digest of the key>.entry``: the first line is the SHA-256 of all that follows, the second JSON (``kind, key, members``:
names and sizes), and then the members' bytes, one after the other. ``head -2`` shows the key.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import platformdirs

from ccs_exp.errors import CcsError
from ccs_exp.files import abandoned_parts, write_whole

Members = Mapping[str, bytes]
Value = TypeVar("Value")

SUFFIX, DAMAGED = ".entry", ".damaged"
_DIGEST = hashlib.sha256().digest_size * 2  # hexadecimal digits

log = logging.getLogger(__name__)


class Damaged(Exception):
    """The file is not what was written."""


class Entry(NamedTuple):
    """What an entry holds."""

    kind: str
    key: Mapping[str, Any]
    members: Mapping[str, Any]  # bytes, or views of them


def cache_dir() -> Path:
    """``CCS_EXP_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("CCS_EXP_CACHE") or platformdirs.user_cache_dir("ccs_exp"))


def key_text(key: Mapping[str, Any]) -> str:
    """The key as it is compared: JSON with sorted names."""
    return json.dumps(key, sort_keys=True, ensure_ascii=True)


def key_digest(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(key_text(key).encode()).hexdigest()[:32]


def entry_path(kind: str, key: Mapping[str, Any]) -> Path:
    return cache_dir() / kind / f"{key_digest(key)}{SUFFIX}"


def read_entry(kind: str, key: Mapping[str, Any], unpack: Callable[[Members], Value]) -> Value | None:
    """What `unpack` makes of the members kept under `key`; None where there are none.

    What is damaged, or of a layout that `unpack` does not know, is set aside, with a warning, and counts as absent.
    """
    path = entry_path(kind, key)
    entry = _checked(path)
    if entry is None:
        return None
    if entry.kind != kind or key_text(entry.key) != key_text(key):
        set_aside(path, "it is of something else")
        return None
    return unpacked(entry, lambda entry: unpack(entry.members))


def read_entries(kind: str) -> Iterator[Entry]:
    """All whole entries of a kind, in the order of their names; for their values there is `unpacked`."""
    for path in sorted((cache_dir() / kind).glob(f"*{SUFFIX}")):
        entry = _checked(path)
        if entry is not None and entry_path(kind, entry.key) == path:
            yield entry


def unpacked(entry: Entry, unpack: Callable[[Entry], Value]) -> Value | None:
    """What an entry holds; None, and the entry set aside, where its members are whole but not laid out as `unpack` reads them."""
    try:
        return unpack(entry)
    except Exception as error:  # whatever a reader of another layout comes upon: it is pure, and sees nothing but the entry
        set_aside(entry_path(entry.kind, entry.key), layout_error(error))
        return None


def layout_error(error: Exception) -> str:
    """Why an entry cannot be unpacked, in one line."""
    return f"its layout is another: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def write_entry(kind: str, key: Mapping[str, Any], members: Members) -> None:
    """Keep `members` under `key`, in place of what was there. A store that cannot be written costs a warning, not the result."""
    _tidy(cache_dir())
    sizes = {name: len(content) for name, content in members.items()}
    head = json.dumps({"kind": kind, "key": key, "members": sizes}, sort_keys=True, ensure_ascii=True)
    content = b"\n".join((head.encode(), b"".join(members[name] for name in sorted(members))))
    try:
        write_whole(entry_path(kind, key), hashlib.sha256(content).hexdigest().encode() + b"\n" + content, _CHOOSE)
    except CcsError as error:
        log.warning("The result is not kept for the next run: %s", error)


_CHOOSE = "the environment variable CCS_EXP_CACHE"


def read_head(path: Path) -> dict[str, Any] | None:
    """What a file of the store says that it is (``kind, key, members``), unverified; None where it says nothing that can be read."""
    try:
        with path.open("rb") as file:
            file.readline()
            head = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) and isinstance(head.get("key"), dict) else None


def load(path: Path) -> Entry:
    """Read and verify a file of the store. Raises `Damaged`, or OSError where it cannot be read."""
    entry = _entry(path.read_bytes())
    return entry._replace(members={name: bytes(member) for name, member in entry.members.items()})


def mapped_entry(kind: str, digest: str) -> Entry | None:
    """The entry of that file name, verified, its members memory views of the mapped file: for large ones of which a part is needed at a
    time. None where there is none."""
    path = cache_dir() / kind / f"{digest}{SUFFIX}"

    def load_mapped(path: Path) -> Entry:
        with path.open("rb") as file:
            try:
                return _entry(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            except ValueError as error:  # nothing in it
                raise Damaged("it is empty") from error

    entry = _checked(path, load_mapped)
    return entry if entry is None or entry_path(entry.kind, entry.key) == path else None


def _entry(content: bytes | mmap.mmap) -> Entry:
    """Its members are views of `content`."""
    view, start = memoryview(content), _DIGEST + 1
    if view[_DIGEST:start] != b"\n" or bytes(view[:_DIGEST]) != hashlib.sha256(view[start:]).hexdigest().encode():
        raise Damaged("its content is not what was written")
    try:
        line = content.find(b"\n", start)
        if line < 0:
            raise ValueError("no end of the line")
        head = json.loads(bytes(view[start:line]))
        members, at = {}, line + 1
        for name in sorted(head["members"]):
            members[name] = view[at : at + head["members"][name]]
            at += head["members"][name]
        return Entry(head["kind"], head["key"], members)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("it is no entry of a store") from error


def set_aside(path: Path, reason: str) -> None:
    """Rename a damaged file, so that it is looked at by people alone."""
    aside = path.with_name(path.name + DAMAGED)
    try:
        os.replace(path, aside)
        log.warning("%s is damaged (%s). It is set aside as %s, and what it held is computed again.", path, reason, aside.name)
    except FileNotFoundError:
        return  # another job has set it aside already
    except OSError as error:
        log.warning("%s is damaged (%s), cannot be set aside (%s), and is computed again.", path, reason, error.strerror)


def _checked(path: Path, read: Callable[[Path], Entry] = load) -> Entry | None:
    try:
        return read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Damaged as error:
        set_aside(path, str(error))
    except OSError as error:
        log.warning("%s cannot be read (%s), and what it holds is computed again.", path, error.strerror or error)
    return None


@cache  # once in a process
def _tidy(folder: Path) -> None:
    """Take away what killed processes of this machine were writing."""
    for part in abandoned_parts(folder):
        try:
            part.unlink(missing_ok=True)
        except OSError:
            return  # a store that can only be read
