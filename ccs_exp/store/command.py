"""``ccs-exp store ls|verify|gc``: what is kept, whether it is whole, and taking away what is not needed."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccs_exp.files import abandoned_parts
from ccs_exp.store.code import is_of_this_code
from ccs_exp.store.entries import DAMAGED, SUFFIX, Damaged, Entry, cache_dir, entry_path, layout_error, load, read_head, set_aside

Unpackers = Mapping[str, Callable[[Entry], Any]]  # by the first folder of a kind; they raise on what they do not know

_FACTS = ("hashes", "weights")  # of files: no code decides them
_DAY = 86400
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class File(NamedTuple):
    """A file of the store; `kind` is its first folder, `age` in seconds (0 for one from a clock that was ahead)."""

    path: Path
    kind: str
    size: int
    age: float


def files(folder: Path) -> list[File]:
    """Everything below `folder`, the oldest first; what disappears meanwhile is left out."""
    found, now = [], time.time()
    for path in folder.rglob("*"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            found.append(File(path, path.relative_to(folder).parts[0], state.st_size, max(0.0, now - state.st_mtime)))
    return sorted(found, key=lambda file: (-file.age, file.path))


def ls(folder: Path, kind: str | None, console: Console) -> int:
    """Print one row for each kind, or, of one kind, one for each file."""
    found = [file for file in files(folder) if file.kind != "locks"]
    if kind is not None:
        found = [file for file in found if file.kind == kind]
        for file in found:
            line = f"{_size(file.size):>9}  {_age(file.age):>6}  {file.path.relative_to(folder)}"
            console.print(Text(line + ("  outdated" if _is_outdated(file) else "")), soft_wrap=True)
            if file.path.suffix == SUFFIX:
                console.print(Text(f"{'':19}{_about(file.path)}"), soft_wrap=True)
    else:
        table = Table("kind", "files", "size", "newest", "oldest", "outdated", "damaged", box=None)
        for name in sorted({file.kind for file in found}):
            group = [file for file in found if file.kind == name]
            counts = sum(map(_is_outdated, group)), sum(file.path.name.endswith(DAMAGED) for file in group)
            row = (str(len(group)), _size(sum(file.size for file in group)), _age(group[-1].age), _age(group[0].age))
            table.add_row(name, *row, *(str(count or "") for count in counts))
        console.print(table)
    outdated = sum(map(_is_outdated, found))
    if outdated:
        console.print(f"{outdated} outdated: of other code or libraries than these, so no job finds them; ccs-exp store gc removes them")
    console.print(Text(f"{_size(sum(file.size for file in found))} in {folder}"), soft_wrap=True)
    return 0


def verify(folder: Path, console: Console, unpackers: Unpackers) -> int:
    """Read and unpack every entry that a job could find; set aside what is not what was written. Status 1 if anything is damaged."""
    damaged, count = 0, 0
    for file in files(folder):
        if file.path.suffix != SUFFIX:
            damaged += file.path.name.endswith(DAMAGED)
            continue
        count += 1
        try:
            entry = load(file.path)
            if entry_path(entry.kind, entry.key) != file.path:
                raise Damaged("it is of something else")
            if not _is_outdated(file):
                _unpack(entry, unpackers.get(file.kind))
        except Damaged as error:
            damaged += 1
            set_aside(file.path, str(error))
        except OSError as error:
            damaged += 1
            console.print(Text(f"{file.path} cannot be read: {error.strerror or error}"), soft_wrap=True)
    console.print(f"{count} entries read, {damaged} damaged" + (": ccs-exp store gc --damaged" if damaged else ""))
    return 1 if damaged else 0


def _unpack(entry: Entry, unpack: Callable[[Entry], Any] | None) -> None:
    try:
        if unpack is not None:
            unpack(entry)
    except Exception as error:  # as for a job (`unpacked`)
        raise Damaged(layout_error(error)) from error


def _is_outdated(file: File) -> bool:
    """Whether no job finds this entry any more: it says of no code that it is this one."""
    if file.path.suffix != SUFFIX or file.kind in _FACTS:
        return False
    head = read_head(file.path)
    return head is not None and not is_of_this_code(head["key"])


def gc(
    folder: Path, older_than: float | None, keep_size: int | None, damaged: bool, kinds: Sequence[str], console: Console
) -> int:
    """Take away what killed jobs left, locks that nobody holds, entries that no job finds any more, and what the options say; replies of
    language models only if named."""
    gone = list(abandoned_parts(folder))
    entries = [
        file
        for file in files(folder)
        if file.kind != "locks" and (file.kind in kinds if kinds else file.path.suffix in (SUFFIX, DAMAGED))
    ]
    gone += [file.path for file in entries if _is_outdated(file)]
    if damaged:
        gone += [file.path for file in entries if file.path.name.endswith(DAMAGED)]
    if older_than is not None:
        gone += [file.path for file in entries if file.age > older_than]
    if keep_size is not None:
        over = sum(file.size for file in entries) - keep_size
        for file in entries:  # the oldest first
            if over <= 0:
                break
            gone.append(file.path)
            over -= file.size
    freed, removed = 0, 0
    for path in dict.fromkeys(gone):
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            console.print(Text(f"{path} cannot be removed: {error.strerror or error}"), soft_wrap=True)
            return 1
        freed, removed = freed + size, removed + 1
    _remove_free_locks(folder)
    console.print(f"{removed} files removed, {_size(freed)} freed")
    return 0


def _remove_free_locks(folder: Path) -> None:
    for path in (folder / "locks").glob("*.lock"):
        lock = FileLock(path)
        try:
            with lock.acquire(timeout=0):
                path.unlink(missing_ok=True)  # while it is held: who waits for it notices, and makes it anew
        except (Timeout, OSError):
            continue


def _about(path: Path) -> str:
    try:
        return json.dumps(load(path).key, sort_keys=True)
    except (Damaged, OSError) as error:
        return f"damaged: {error}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _age(seconds: float) -> str:
    for unit, length in (("d", _DAY), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 500M or 20G")
    return int(float(match[1]) * _UNITS[match[2]])


def _days(text: str) -> float:
    try:
        return float(text.removesuffix("d")) * _DAY
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days; write 30") from None


def main(arguments: Sequence[str] | None = None, unpackers: Callable[[], Unpackers] = dict) -> int:
    """Run the command line. `unpackers`: how to read entries of each kind; called where that is needed, for it may import much."""
    parser = argparse.ArgumentParser(prog="ccs-exp store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("ls", help="kinds of entries, their number, sizes and ages; which of them are outdated")
    listing.add_argument("kind", nargs="?", help="list the files of this kind, with their keys")
    commands.add_parser("verify", help="read and unpack everything; set aside what is damaged (exit status 1)")
    cleaning = commands.add_parser("gc", help="take away what killed jobs left, what no job finds any more, and what the options say")
    cleaning.add_argument("kinds", nargs="*", help="only these kinds; by default all entries, but neither replies nor pixels")
    cleaning.add_argument("--older-than", type=_days, metavar="DAYS")
    cleaning.add_argument("--keep-size", type=_bytes, metavar="SIZE", help="remove the oldest beyond this size, as in 20G")
    cleaning.add_argument("--damaged", action="store_true", help="remove what was set aside as damaged")
    asked = parser.parse_args(arguments)
    console, folder = Console(), cache_dir()
    if asked.command == "ls":
        return ls(folder, asked.kind, console)
    if asked.command == "verify":
        return verify(folder, console, unpackers())
    return gc(folder, asked.older_than, asked.keep_size, asked.damaged, asked.kinds, console)
