"""Kept replies of others: a run folder's ``replies.jsonl``, or a whole cache."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import parse_json, read_text
from ccs_exp.llm.replies import Kept, kept_from_json
from ccs_exp.llm.request import Subject

FILE = "replies.jsonl"


def jsonl(replies: Iterable[Kept]) -> bytes:
    """One line for each reply, in the order of their subjects, so that the same replies give the same bytes."""
    lines = sorted(json.dumps(kept.as_json(), ensure_ascii=True, sort_keys=True) for kept in replies)
    return "".join(line + "\n" for line in lines).encode("utf-8")


def read_replies(path: str | Path, subjects: type[Subject]) -> list[Kept]:
    """The kept replies in a run folder, a ``replies.jsonl``, or the folder of a cache, each about one of `subjects`.

    Raises `CcsError` where there is none, and for a damaged file: a result is repeated in full or not at all.
    """
    path = Path(path).expanduser()
    if path.is_dir() and (path / FILE).is_file():
        path = path / FILE
    if path.is_file():
        texts = [(f"{path}, line {number}", line) for number, line in enumerate(read_text(path).split("\n"), 1)]
    else:
        texts = [(str(file), read_text(file)) for file in _cached(path)]
    found = [_kept(place, text, subjects) for place, text in texts if text.strip()]
    if not found:
        raise CcsError(
            f"judge.replies={path}: no kept replies are there. Name a run folder that has {FILE}, or the folder `replies` of a cache."
        )
    return found


def _cached(folder: Path) -> Iterator[Path]:
    for root in (folder, folder / "replies"):
        yield from sorted(root.glob("[0-9a-f][0-9a-f]/*.json"))


def _kept(place: str, text: str, subjects: type[Subject]) -> Kept:
    try:
        return kept_from_json(parse_json(text), subjects)
    except ValueError as error:
        raise CcsError(f"{place} is no kept reply: {error}. Take the file from its source again.") from error
