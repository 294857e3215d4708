"""What prompts call the classes of a published data set: the usual names, or those of the paper's authors."""

from __future__ import annotations

import re
from pathlib import Path

from ccs_exp.data.published.classes import ClassTable
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines

NAMES = ("usual", "folders", "paper", "readme")
_README = "README.txt"
_LINE = re.compile(r"(n\d{8})\s+(\S.*)")


def prompt_names(which: str, table: ClassTable, path: str | None) -> tuple[tuple[str, ...], list[str]]:
    """The name of each class, and what a reader must be told.

    Args:
        which: ``usual``; ``folders``: the folders' own, with their underscores; ``paper``: those of the authors' list; ``readme``: those
            that the README.txt of the distributed archive gives each WordNet id, underscores read as spaces.
        path: of the local copy, in which that README.txt is looked for; without it the usual names are used, and the reader told.

    Raises `CcsError` for another `which`.
    """
    if which not in NAMES:
        raise CcsError(f"dataset.source.names={which}: choose one of {', '.join(NAMES)}.")
    if which == "folders":
        return table.folders, []
    if which == "paper":
        return tuple(theirs or usual for theirs, usual in zip(table.paper, table.names, strict=True)), []
    readme = Path(path, _README).expanduser() if path else None
    if which == "readme" and readme and readme.is_file():
        matches = (_LINE.fullmatch(line.strip()) for line in read_lines(readme))
        given = {match[1]: " ".join(match[2].replace("_", " ").split()) for match in matches if match}
        if all(folder in given for folder in table.folders):
            return tuple(given[folder] for folder in table.folders), []
    where = path or "the hub"
    told = f"protocol=paper takes class names from the archive's {_README}; {where} has none for every class: they are the usual ones."
    return table.names, [told] if which == "readme" else []
