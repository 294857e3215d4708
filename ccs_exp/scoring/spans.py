"""The five descriptions of each head, computed or read from a file."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.files import from_cell
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, Head


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
    read = _from_json if path.suffix.lower() == ".json" else _from_csv
    try:
        spans = tuple(read(path))
    except (json.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
        raise CcsError(f"{path} cannot be read as {'JSON' if read is _from_json else 'CSV'}: {error}.") from error
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
    entries = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(entries, list) or not all(
        isinstance(entry, Mapping) and {"head", "top5"} <= set(entry) for entry in entries
    ):
        raise CcsError(f"{path} must hold a list of objects with the keys head, top5 and, if known, intel_label.")
    for entry in entries:
        if not isinstance(entry["top5"], list):
            raise CcsError(f"{path}: top5 of {entry['head']} must be a list of descriptions.")
        yield _spans(entry["head"], entry["top5"], entry.get("intel_label"))


def _from_csv(path: Path) -> Iterable[HeadSpans]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        columns = [f"description_{number}" for number in range(1, DESCRIPTIONS_PER_HEAD + 1)]
        missing = [column for column in ("head", *columns) if column not in (rows.fieldnames or ())]
        if missing:
            raise CcsError(f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}.")
        for row in rows:
            texts = {column: from_cell(cell) for column, cell in row.items() if isinstance(cell, str)}
            yield _spans(texts.get("head"), [texts.get(column) for column in columns], texts.get("label"), texts.get("model"))


def _spans(head: Any, descriptions: Iterable[Any], label: Any, model: str | None = None) -> HeadSpans:
    texts = tuple(str(text).strip() for text in descriptions if text is not None and str(text).strip())
    return HeadSpans(Head.parse(head), texts, str(label).strip() or None if label is not None else None, model=model or None)
