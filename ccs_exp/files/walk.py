"""The one way to go through a folder of images or videos: links are followed once, and what is left out is counted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files.likeness import some

_SIDECARS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"})  # what systems leave beside pictures


@dataclass(frozen=True)
class Tree:
    """What a walk found: regular `files` in the order of their paths; `again`, links to what is there already; `others`, which are no
    files: pipes, devices, links to nothing."""

    folder: Path
    files: tuple[Path, ...]
    again: tuple[Path, ...]
    others: tuple[Path, ...]

    def left_out(self, kept: frozenset[Path], noun: str) -> tuple[str, ...]:
        """A sentence about everything that is not among the `kept` files, each of which is a `noun`; none if nothing was left out."""
        files = tuple(path for path in self.files if path not in kept)
        parts = [
            f"{what} ({len(paths):,}: {some(path.relative_to(self.folder).as_posix() for path in paths)})"
            for what, paths in (
                (f"what is no {noun}", files),
                ("pipes, devices or links to nothing", self.others),
                ("links to what is there already", self.again),
            )
            if paths
        ]
        return (f"Left out below {self.folder}: {', '.join(parts)}.",) if parts else ()


def walk(folder: Path) -> Tree:
    """Everything below `folder` but hidden files and folders, and what systems leave beside pictures (``._1.png``, ``Thumbs.db``).

    A link counts as what it leads to, unless that is there already: a folder is entered once, whatever leads to it, and in its own
    place if it has one here. Raises `CcsError` for a folder that cannot be read.
    """
    seen: set[str] = set()
    files: list[Path] = []
    again: list[Path] = []
    others: list[Path] = []
    entrances = deque([folder])
    while entrances:
        entrance = entrances.popleft()
        real = os.path.realpath(entrance)
        if real in seen:
            again.append(entrance)
        elif os.path.isdir(real):
            for entry, real_place in _below(entrance, real, seen):
                path = Path(entry.path)
                if entry.is_symlink():
                    entrances.append(path)  # after all that is here without one
                elif entry.is_file():
                    files.append(path)
                    seen.add(os.path.join(real_place, entry.name))
                else:
                    others.append(path)
        else:
            seen.add(real)
            (files if os.path.isfile(real) else others).append(entrance)
    return Tree(folder, tuple(sorted(files)), tuple(sorted(again)), tuple(sorted(others)))


def _below(folder: Path, real: str, seen: set[str]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """All that lies below a folder, in folders that are no links and were not `seen`, with the real name of each one's place.

    The folders entered are `seen` from then on.
    """
    todo = [(str(folder), real)]
    while todo:
        place, real = todo.pop()
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(place) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            raise CcsError(f"{place} cannot be read: {error.strerror}. Make it readable, or move it away.") from error
        for entry in inside:
            if entry.name.startswith(".") or entry.name.casefold() in _SIDECARS:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append((entry.path, os.path.join(real, entry.name)))
            else:
                yield entry, real
