"""What judges leave in a run folder beside ``heads.csv``, where they have more to say than a verdict.

==================  ==================================================================================================
``verdicts.csv``    one row for each description and judge: `VERDICT_ROWS`. ``p_aligned`` is the probability that the model
                    gave to "aligned" and ``confidence`` that of the verdict itself, where log-probabilities were asked
                    for; ``model`` and ``fingerprint`` are what the reply says of itself, ``reply`` is its key in
                    ``replies.jsonl``, ``reason`` why a description is unjudged
``judges.csv``      one row for each head and judge: `JUDGE_ROWS`. ``ccs`` by this judge alone, ``expected_ccs`` the sum of
                    its five ``p_aligned``
``replies.jsonl``   every request to a language model that the run rests on, with its reply: what ``judge=replay`` reads
==================  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ccs_exp.files import Row, csv_bytes, read_csv, write_whole

VERDICTS_FILE, JUDGES_FILE, REPLIES_FILE = VERDICT_FILES = ("verdicts.csv", "judges.csv", "replies.jsonl")
VERDICT_ROWS = (
    *("head", "label", "number", "description", "judge", "verdict", "p_aligned", "confidence"),
    *("model", "fingerprint", "reply", "reason"),
)
JUDGE_ROWS = ("head", "judge", "ccs", "expected_ccs")


def write_verdicts(folder: Path, verdicts: Iterable[Mapping[str, Any]], judges: Iterable[Mapping[str, Any]]) -> None:
    """Write both tables of rows. Raises ValueError on wrong columns."""
    write_whole(folder / VERDICTS_FILE, csv_bytes(verdicts, VERDICT_ROWS))
    write_whole(folder / JUDGES_FILE, csv_bytes(judges, JUDGE_ROWS))


def write_replies(folder: Path, lines: bytes) -> None:
    write_whole(folder / REPLIES_FILE, lines)


def read_verdicts(folder: Path) -> list[Row] | None:
    """The rows of ``verdicts.csv`` as text; None where there is none."""
    path = folder / VERDICTS_FILE
    return read_csv(path, VERDICT_ROWS) if path.exists() else None


def read_judges(folder: Path) -> list[Row] | None:
    """The rows of ``judges.csv`` as text; None where there is none."""
    path = folder / JUDGES_FILE
    return read_csv(path, JUDGE_ROWS) if path.exists() else None
