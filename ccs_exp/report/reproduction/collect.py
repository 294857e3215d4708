"""Run folders found below given folders: the finished ones, read; the others, listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.files import read_csv, read_yaml, typed_table
from ccs_exp.heads import HIGH_FROM, LOW_TO, RANDOM_FROM_ALL_LAYERS
from ccs_exp.report.contents import ConditionResult, Contents, gather
from ccs_exp.report.evidence import map_tables
from ccs_exp.run_folder.search import check_files, folders_below
from ccs_exp.run_folder.summary import Summary

PUBLISHED = "the authors' published heads"
AGREEMENT_COLUMNS = ("model", "kappa", "spearman", "kendall")
_MARKS = ("heads.csv", "accuracy.csv", ".hydra/overrides.yaml")  # of a folder in which a run at least began


@dataclass(frozen=True)
class Edition:
    """What decides which runs compare: where their head scores come from, the protocol, and how heads were chosen."""

    scores: str
    protocol: str
    equal: bool = False  # high, low and random heads in equal number
    random_layers: str | None = None  # all or scored, where the protocol would have drawn from the other
    shuffled: bool = False  # a video's frames

    def __str__(self) -> str:
        parts = [self.scores, f"protocol {self.protocol}"]
        parts += [f"random heads of {self.random_layers} layers"] if self.random_layers else []
        parts += ["frames in a random order"] if self.shuffled else []
        return "; ".join(parts)


@dataclass(frozen=True)
class Run:
    """A finished run. `finished`: when, in seconds since 1970; `model`: its name, made unique among different weights."""

    contents: Contents
    finished: float
    model: str

    @property
    def path(self) -> Path:
        return self.contents.path

    @property
    def summary(self) -> Summary:
        return self.contents.summary

    @property
    def dataset(self) -> str | None:
        return self.summary["dataset"]

    @property
    def choices(self) -> dict[str, Any]:
        return self.summary["choices"] or {}

    @property
    def limited(self) -> bool:
        return bool(self.choices.get("limit"))

    @property
    def edition(self) -> Edition:
        choices = self.choices
        equal = choices.get("match_count") == "min"
        protocol, layers = str(choices.get("protocol") or "standard"), choices.get("random_layers")
        usual = "all" if protocol == "paper" and self.summary["model"] in RANDOM_FROM_ALL_LAYERS else "scored"
        other = "all" if layers == "all" else "scored" if layers else usual
        shuffled = choices.get("frame_order") == "shuffled"
        return Edition(_scores(choices), protocol, equal, None if other == usual else other, shuffled)

    @property
    def conditions(self) -> tuple[ConditionResult, ...]:
        return self.contents.conditions


@dataclass(frozen=True)
class Collection:
    """What was found. `unfinished`: folder and what its job was asked; `damaged`: folder and what is wrong with it."""

    runs: tuple[Run, ...]
    unfinished: tuple[tuple[Path, str], ...]
    damaged: tuple[tuple[Path, str], ...]
    agreement: tuple[dict[str, Any], ...]


def collect(directories: Iterable[str | Path]) -> Collection:
    """Read every run below `directories`, in the order of their finishing.

    Raises:
        CcsError: a directory that is not there, or nothing of ours below any of them.
    """
    directories = list(directories)
    read: list[tuple[Contents, float]] = []
    unfinished, damaged, agreement = [], [], []
    for folder in folders_below(directories):
        if (folder / "agreement.csv").exists():
            try:
                agreement += _agreement(folder / "agreement.csv")
            except CcsError as error:
                damaged.append((folder, str(error)))
        if (folder / "summary.json").exists():
            try:
                map_tables(folder)  # so that files that no run writes are found here
                read.append((gather(folder), (folder / "summary.json").stat().st_mtime))
            except CcsError as error:
                damaged.append((folder, str(error)))
        elif any((folder / mark).exists() for mark in _MARKS):
            unfinished.append((folder, _asked(folder)))
    if not (read or unfinished or damaged or agreement):
        raise CcsError(f"No run of ccs_exp lies below {', '.join(map(str, directories))}. Runs go to outputs/ and multirun/.")
    read.sort(key=lambda item: (item[1], str(item[0].path)))
    return Collection(_named(read), tuple(unfinished), tuple(damaged), tuple(agreement))


def _named(read: list[tuple[Contents, float]]) -> tuple[Run, ...]:
    """Runs with names that tell different weights apart: the newest keep the name, others bear their hash."""
    newest: dict[str, str] = {}
    for contents, _ in read:
        weights = contents.summary["weights"]
        if weights and weights["sha256"]:
            newest[contents.summary["model"]] = weights["sha256"]
    runs = []
    for contents, finished in read:
        name, weights = contents.summary["model"], contents.summary["weights"]
        if weights and not weights["sha256"]:
            name = f"{name} (random weights)"
        elif weights and weights["sha256"] and weights["sha256"] != newest[name]:
            name = f"{name} ({weights['sha256'][:8]})"
        runs.append(Run(contents, finished, name))
    return tuple(runs)


def _scores(choices: dict[str, Any]) -> str:
    if not choices:
        return "settings not on record"
    if choices.get("ccs") == "published":
        return PUBLISHED
    if choices.get("ccs") == "file":
        return "heads of an earlier run"
    judge = " ".join(str(choices[key]) for key in ("judge", "judge_model") if choices.get(key))
    source = (
        "given descriptions" if choices.get("spans") == "file" else f"pool {choices.get('pool')}, probe {choices.get('probe')}"
    )
    text = f"labeler {choices.get('labeler')}, judge {judge}, {source}"
    if choices.get("textspan") == "reference":
        text += ", reference TEXTSPAN"
    if choices.get("thresholds") not in (None, [HIGH_FROM, LOW_TO]):
        text += f", thresholds {choices['thresholds']}"
    return text


def _asked(folder: Path) -> str:
    """The command line's choices of a job, as Hydra keeps them."""
    try:
        check_files(folder)
        overrides = read_yaml(folder / ".hydra" / "overrides.yaml")
    except CcsError:
        return ""  # nothing on record
    return " ".join(text for text in overrides if isinstance(text, str)) if isinstance(overrides, list) else ""


def _agreement(path: Path) -> list[dict[str, Any]]:
    numbers = dict.fromkeys(AGREEMENT_COLUMNS[1:], float)
    table = typed_table(path, read_csv(path, AGREEMENT_COLUMNS), AGREEMENT_COLUMNS, numbers)
    rows = table.to_dict("records")
    return [{"model": str(row["model"]), "path": path.parent} | {name: row[name] for name in numbers} for row in rows]
