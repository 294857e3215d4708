"""The run folder: what a job leaves, and the only thing that reports and trackers read. Its files: ``docs/reference/run_folder.md``.

Every file is written aside and renamed into place. Numbers have six decimals, so the same rows give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs_exp.errors import CcsError
from ccs_exp.files import CONTROL, check_columns, csv_bytes, read_csv, rounded, typed_table, write_whole
from ccs_exp.run_folder.columns import (
    ACCURACY_COLUMNS,
    CCS_CLASSES,
    EVIDENCE_FILES,
    HEADS_COLUMNS,
    OPTIONAL_SUMMARY_KEYS,
    PREDICTION_COLUMNS,
    REPLIES_FILE,
    RETRIEVAL_COLUMNS,
    SCHEMA_VERSION,
    SUMMARY_KEYS,
    TABLES,
    UNCERTAINTY_COLUMNS,
    VERDICT_COLUMNS,
    VERDICTS,
)

if TYPE_CHECKING:
    import pandas
    import pyarrow

SUMMARY_FILE = "summary.json"
FIGURES = ("causal_map", "ccs_at_k", "accuracy", "delta", "heads_map", "null_ccs", "relabel", "skew")
_FILES = (*TABLES, "predictions.parquet", SUMMARY_FILE, "report.html", REPLIES_FILE, *EVIDENCE_FILES)


class RunFolder:
    """Writes and reads the files of a run folder.

    Writers raise ValueError on wrong columns, `CcsError` where the folder cannot be written. Readers raise `CcsError` on a damaged file
    and return None for one that is absent.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def prepare(self) -> None:
        """Make the folder and make sure that it can be written; nothing in it is touched.

        Raises `CcsError` where it cannot, and where files of the names that a run writes are there but are not a run's.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CcsError(
                f"The run folder {self.path} cannot be used: {error.strerror or error}. Choose a folder that you may write to "
                "with hydra.run.dir=DIR."
            ) from error
        probe = self.path / ".writable"
        write_whole(probe, b"")
        probe.unlink(missing_ok=True)
        foreign = [name for name in _FILES if (self.path / name).exists()]
        if foreign and not self._is_a_run():
            raise CcsError(
                f"{self.path} holds {', '.join(foreign)}, which no run of ccs_exp wrote and this run would overwrite. Choose another "
                "folder with hydra.run.dir=DIR."
            )

    def _is_a_run(self) -> bool:
        try:
            return bool(read_csv(self.path / "heads.csv", HEADS_COLUMNS))
        except CcsError:
            return False

    def files(self) -> list[Path]:
        """The files of a run that are there."""
        paths = [self.path / name for name in (*_FILES, *(f"figures/{figure}.png" for figure in FIGURES))]
        return [path for path in paths if path.exists()] + sorted(self.path.glob("atlas/*.html"))

    def clear(self) -> None:
        """Take away what an earlier run left in the folder, just before its place is taken."""
        for path in reversed(self.files()):  # heads.csv last: a folder without it is not known to be a run's
            path.unlink(missing_ok=True)
        for left_over in (*self.path.glob(".*.part"), *self.path.glob("atlas/.*.part")):
            left_over.unlink(missing_ok=True)
        for below in (self.figures, self.path / "atlas"):
            if below.is_dir() and not any(below.iterdir()):
                below.rmdir()

    def withdraw_summary(self) -> None:
        """Take the summary away again: where it stands, a run has finished."""
        (self.path / SUMMARY_FILE).unlink(missing_ok=True)

    def write(self, name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
        """A table of `TABLES`, or one of a run's evidence, whose `columns` its measure has."""
        if name not in TABLES and name not in EVIDENCE_FILES:
            raise ValueError(f"{name} is no file of a run folder")
        write_whole(self.path / name, csv_bytes(rows, TABLES.get(name, columns)))

    def write_replies(self, lines: bytes) -> None:
        """Every request to a language model that the run rests on, with its reply: what ``judge=replay`` reads."""
        write_whole(self.path / REPLIES_FILE, lines)

    def write_predictions(self, rows: pyarrow.Table) -> None:
        """Predictions, or the ranks of retrieval, as Parquet."""
        import pyarrow
        from pyarrow import parquet

        columns: tuple[str, ...] = RETRIEVAL_COLUMNS if "rank" in rows.column_names else PREDICTION_COLUMNS
        columns += tuple(column for column in ("seed",) if column in rows.column_names)
        check_columns(dict.fromkeys(rows.column_names), columns)
        types = {"correct": pyarrow.bool_(), "rank": pyarrow.float64()}
        types |= dict.fromkeys(("target", "prediction", "seed"), pyarrow.int32())
        types |= dict.fromkeys(("margin", "log_probability"), pyarrow.float32())
        text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())  # few texts, many rows
        schema = pyarrow.schema([(column, types.get(column, text)) for column in columns])
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(rows.select(columns).cast(schema), buffer, compression="zstd")
        write_whole(self.path / "predictions.parquet", buffer.getvalue().to_pybytes())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        missing = [key for key in SUMMARY_KEYS if key not in summary]
        if missing:
            raise ValueError(f"the summary lacks {missing}")
        content = rounded({"schema_version": SCHEMA_VERSION, **summary})
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        text = re.sub(CONTROL, lambda sign: f"\\u{ord(sign[0]):04x}", text)  # the same JSON; a terminal that shows it obeys nothing
        write_whole(self.path / SUMMARY_FILE, (text + "\n").encode("utf-8"))

    def read_heads(self) -> pandas.DataFrame:
        return read_heads_csv(self.path / "heads.csv")

    def read_ccs_at_k(self) -> pandas.DataFrame | None:
        return self._read("ccs_at_k.csv", TABLES["ccs_at_k.csv"], {"k": int, "fraction": float})

    def read_accuracy(self) -> pandas.DataFrame | None:
        numbers = {"num_pruned": int, "value": float, "delta": float}
        return self._read("accuracy.csv", ACCURACY_COLUMNS, numbers)

    def read_uncertainty(self) -> pandas.DataFrame | None:
        texts = ("model", "dataset", "task", "condition", "strategy", "metric", "interval")
        whole = ("seed", "num_pruned", "lost", "gained", "matched_sets")
        numbers = {column: int if column in whole else float for column in UNCERTAINTY_COLUMNS if column not in texts}
        return self._read("uncertainty.csv", UNCERTAINTY_COLUMNS, numbers)

    def read_predictions(self) -> pandas.DataFrame | None:
        import pandas
        import pyarrow

        path = self.path / "predictions.parquet"
        if not path.exists():
            return None
        try:
            return pandas.read_parquet(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise CcsError(f"{path} cannot be read: {error}.") from error

    def read_summary(self) -> dict[str, Any]:
        """``summary.json``, its absent optional keys as None.

        Raises `CcsError` where the job did not finish, or a later version wrote another schema.
        """
        path = self.path / SUMMARY_FILE
        try:
            return check_summary(json.loads(path.read_text(encoding="utf-8")), path)
        except OSError as error:
            raise CcsError(f"{self.path} has no summary.json that can be read: no job finished there.") from error
        except (ValueError, RecursionError) as error:
            raise CcsError(f"{path} is not JSON: {error}.") from error

    def _read(self, name: str, columns: tuple[str, ...], numbers: Mapping[str, type]) -> pandas.DataFrame | None:
        path = self.path / name
        return typed_table(path, read_csv(path, columns), columns, numbers) if path.exists() else None


def check_summary(summary: Any, path: str | Path) -> dict[str, Any]:
    """The content of ``summary.json``, its absent optional keys as None. Raises `CcsError` where it is of another schema."""
    found = summary.get("schema_version") if isinstance(summary, dict) else None
    if found != SCHEMA_VERSION:
        raise CcsError(
            f"{path} is of schema version {str(found)[:20]}; this version of ccs_exp reads schema version {SCHEMA_VERSION}. Run the job "
            "again (its command line is in .hydra/overrides.yaml), or read the folder with the version that wrote it."
        )
    missing = [key for key in SUMMARY_KEYS if key not in summary]
    if missing:
        raise CcsError(f"{path} lacks {', '.join(missing)}. Run the job again.")
    return dict.fromkeys(OPTIONAL_SUMMARY_KEYS) | summary


def read_heads_csv(path: str | Path) -> pandas.DataFrame:
    """The rows of a ``heads.csv``; what is absent is None. Raises `CcsError` naming what is missing or cannot be."""
    path = Path(path)
    rows = read_csv(path, HEADS_COLUMNS)
    for number, row in enumerate(rows, 1):
        for column, allowed in [("ccs_class", CCS_CLASSES), *((column, VERDICTS) for column in VERDICT_COLUMNS)]:
            if row[column] is not None and row[column] not in allowed:
                raise CcsError(f"{path}, row {number}: {column} is {row[column]!r}. It is one of {', '.join(allowed)}, or empty.")
    table = typed_table(path, rows, HEADS_COLUMNS, {"layer": int, "ccs": int, "explained_variance": float})
    for number, ccs in enumerate(table["ccs"], 1):
        if ccs is not None and not 0 <= ccs <= 5:
            raise CcsError(f"{path}, row {number}: ccs is {ccs}. It is a whole number from 0 to 5, or empty.")
    return table
