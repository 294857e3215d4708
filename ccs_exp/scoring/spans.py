"""The five descriptions of each head, computed or read from a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv, read_entries
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS


@dataclass(frozen=True)
class HeadSpans:
    """A head's TEXTSPAN descriptions in the order picked; `label` and `model` if they came with them."""

    head: Head
    descriptions: tuple[str, ...]
    label: str | None = None
    explained_variance: float | None = None
    model: str | None = None


def read_spans(path: str | Path) -> tuple[HeadSpans, ...]:
    """Read descriptions from a JSON list of ``{head, top5, intel_label?}``, a CSV ``head, description_1..5[, label]`` or a heads.csv.

    Raises `CcsError` for a missing or malformed file, heads named twice, and heads without exactly five descriptions.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CcsError(f"spans.path={path}: there is no such file. Give a JSON or CSV of heads with five descriptions each.")
    spans = tuple(_from_json(path) if path.suffix.lower() == ".json" else _from_csv(path))
    if not spans:
        raise CcsError(f"{path} describes no head.")
    short = [f"{item.head} has {len(item.descriptions)}" for item in spans if len(item.descriptions) != DESCRIPTIONS_PER_HEAD]
    if short:
        raise CcsError(f"{path}: every head needs {DESCRIPTIONS_PER_HEAD} descriptions, but {', '.join(short[:8])}.")
    twice = [str(head) for head, count in Counter(item.head for item in spans).items() if count > 1]
    if twice:
        raise CcsError(f"{path} names {', '.join(twice)} more than once.")
    return tuple(sorted(spans, key=lambda item: item.head))


def _from_json(path: Path) -> Iterable[HeadSpans]:
    for number, entry in enumerate(read_entries(path, {"head": str, "top5": list}, {"intel_label": str}), 1):
        yield _spans(f"{path}, entry {number}", entry["head"], entry["top5"], entry.get("intel_label"))


def _from_csv(path: Path) -> Iterable[HeadSpans]:
    for row in read_csv(path, ("head", *DESCRIPTION_COLUMNS), ("label", "model")):
        yield _spans(row.where, row.text("head"), [row[column] for column in DESCRIPTION_COLUMNS], row["label"], row["model"])


def _spans(
    where: str, head: str, descriptions: Iterable[str | None], label: str | None, model: str | None = None
) -> HeadSpans:
    texts = tuple(text.strip() for text in descriptions if text and text.strip())
    try:
        return HeadSpans(Head.parse(head), texts, label.strip() or None if label else None, model=model)
    except CcsError as error:
        raise CcsError(f"{where}: {error}") from error
