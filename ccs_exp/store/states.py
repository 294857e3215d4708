"""Files that results depend on, as part of a key: by content, or, where there is much of it, by names, sizes and times of change."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ccs_exp.store.entries import Members, read_entry, write_entry

HASHES = "hashes"
_READ_AT_ONCE = 2**24  # bytes; hashes of larger files are kept


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file; of a large one remembered for as long as its size and time of change stay. Raises OSError."""
    state = path.stat()
    if state.st_size <= _READ_AT_ONCE:
        return _sha256(path)
    key = {
        "path": str(path.resolve()),
        "bytes": state.st_size,
        "changed_ns": [state.st_mtime_ns, state.st_ctime_ns],
        "inode": state.st_ino,
    }
    found = read_entry(HASHES, key, unpack_hash)
    if found is None:
        found = _sha256(path)
        write_entry(HASHES, key, {"sha256": json.dumps(found).encode()})
    return found


def unpack_hash(members: Members) -> str:
    found = json.loads(members["sha256"])
    if not isinstance(found, str):
        raise ValueError(f"{found!r} is no hash")
    return found


def files_state(path: Path) -> str | None:
    """A digest that changes with a file's content, or with the files of a folder; None where there is neither."""
    if path.is_file():
        return file_sha256(path)
    return folder_state(path) if path.is_dir() else None


def folder_state(folder: Path) -> str:
    """A digest that changes when a file below `folder`, links followed, comes, goes, or is written: names, sizes, times of change."""
    digest, seen = hashlib.sha256(), set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        if here in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(here)
        folders.sort()
        for name in sorted(files):
            try:
                state = os.stat(os.path.join(place, name))
            except OSError:  # a link to nothing: it will be missed where it is read
                continue
            path = os.path.relpath(os.path.join(place, name), folder)
            line = f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}\n"
            digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def folder_content(folder: Path, pattern: str = "**/*") -> str:
    """A digest of the names and the content of a small folder's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.glob(pattern) if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {_sha256(path)}\n".encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
