"""One rater's answers to a sheet, on disk as they are given."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ccs_exp.agreement.sheet import Item, Sheet
from ccs_exp.errors import CcsError
from ccs_exp.files import decoded, table_rows

COLUMNS = ("sheet", "item", "answer", "time")
YES, NO, UNDO = "yes", "no", "undo"
_RATER = re.compile(r"[\w-]{1,40}")


class Ratings:
    """Answers by item, yes as True, the latest last. The file is a log: a line an answer, and ``undo`` withdraws an item's."""

    def __init__(self, sheet: Sheet, rater: str, answers: dict[str, bool]) -> None:
        self.sheet, self.rater, self.answers = sheet, rater, answers
        self.path = ratings_path(sheet.path, rater)

    @property
    def current(self) -> Item | None:
        """The first item without an answer; None when all have one."""
        return next((item for item in self.sheet.items if item.name not in self.answers), None)

    @property
    def last(self) -> str | None:
        """The item answered last, which `undo` withdraws."""
        return next(reversed(self.answers), None)

    def answer(self, item: str, yes: bool) -> None:
        """Record an answer; it is on disk when this returns. Raises `CcsError`, and records nothing, where it cannot be."""
        _append(self.path, self.sheet, item, YES if yes else NO)
        self.answers.pop(item, None)
        self.answers[item] = yes

    def undo(self) -> str | None:
        """Withdraw the latest answer and return its item; None if there is none."""
        item = self.last
        if item is not None:
            _append(self.path, self.sheet, item, UNDO)
            del self.answers[item]
        return item


def ratings_path(sheet: Path, rater: str) -> Path:
    """Raises `CcsError` for a name that makes no file name."""
    if not _is_name(rater):
        raise CcsError(f"--rater {rater!r}: give a name of letters, digits, - and _ (at most 40), other than 'judge'.")
    return sheet.with_name(f"{sheet.stem}.ratings.{rater}.csv")


def raters(sheet: Path) -> dict[str, Path]:
    """The rating files beside a sheet, by rater."""
    prefix, suffix = f"{sheet.stem}.ratings.", ".csv"
    names = sorted(path.name for path in sheet.absolute().parent.iterdir())
    found = [name[len(prefix) : -len(suffix)] for name in names if name.startswith(prefix) and name.endswith(suffix)]
    return {rater: ratings_path(sheet, rater) for rater in found if _is_name(rater)}


def _is_name(rater: str) -> bool:
    return bool(_RATER.fullmatch(rater)) and rater.casefold() != "judge"


@contextmanager
def open_ratings(sheet: Sheet, rater: str) -> Iterator[Ratings]:
    """A rater's answers so far, to go on with. Raises `CcsError` where another process has them open, or the file is damaged."""
    from filelock import FileLock, Timeout

    path = ratings_path(sheet.path, rater)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CcsError(f"{rater} is rating {sheet.path} in another window. End that first, or give another --rater.") from error
    except OSError as error:
        raise CcsError(
            f"{path.parent} cannot be written: {error.strerror or error}. Copy the sheet to a folder that can."
        ) from error
    try:
        answers = read_ratings(sheet, path) if path.exists() else {}
        if path.exists():
            _cut_torn_line(path)
        yield Ratings(sheet, rater, answers)
    finally:
        lock.release()


def read_ratings(sheet: Sheet, path: Path) -> dict[str, bool]:
    """Answers by item, yes as True, in the order given. A last line that a crash cut short is left out.

    Raises `CcsError` for what is not a rating file of this sheet, naming the line.
    """
    text = decoded(path)
    whole = text[: max(map(text.rfind, "\r\n")) + 1]
    rows = table_rows(path, whole, COLUMNS) if whole else []
    names = {item.name for item in sheet.items}
    answers: dict[str, bool] = {}
    for row in rows:
        item, answer = row["item"] or "", row["answer"]
        if row["sheet"] != sheet.digest or item not in names:
            raise CcsError(f"{row.where}: it answers another sheet than {sheet.path}, or the sheet was changed since.")
        if answer not in (YES, NO, UNDO):
            raise CcsError(f"{row.where}: the answer is {answer!r}. It is one of {YES}, {NO}, {UNDO}.")
        answers.pop(item, None)
        if answer != UNDO:
            answers[item] = answer == YES
    return answers


def _append(path: Path, sheet: Sheet, item: str, answer: str) -> None:
    line = ",".join((sheet.digest, item, answer, datetime.now(UTC).isoformat(timespec="seconds"))) + "\n"
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.tell()
            content = ((",".join(COLUMNS) + "\n" if not before else "") + line).encode()
            try:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise CcsError(f"The answer could not be written to {path}: {error.strerror or error}. It is not recorded.") from error


def _cut_torn_line(path: Path) -> None:
    """Take a half line from the end, so that the next answer starts a line of its own."""
    content = path.read_bytes()
    end = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
    if end != len(content):
        os.truncate(path, end)
