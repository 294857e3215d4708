"""Which tasks test which concept: ``assets/concept_tests.csv``, and the user's own rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_csv
from ccs_exp.scoring.concepts import ConceptMap, load_concepts

COLUMNS = ("concept", "dataset", "task")


class Task(NamedTuple):
    """What images are asked: a label column of a data set, or its only one (`column` empty)."""

    dataset: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.dataset}/{self.column}" if self.column else self.dataset


class ConceptTests:
    """Concepts and the tasks that test them. `load_concept_tests` reads them."""

    def __init__(self, rows: Iterable[tuple[str, Task]], concepts: ConceptMap) -> None:
        self._rows, self._concepts = tuple(rows), concepts

    def tests(self, label: str | None, task: Task) -> bool:
        """Whether `task` tests a concept that `label` stands for. A row without a task speaks of all of its data set's."""
        return label is not None and any(
            tested.dataset == task.dataset and tested.column in ("", task.column) and self._concepts.means(label, concept)
            for concept, tested in self._rows
        )

    def tested(self, label: str | None, tasks: Sequence[Task]) -> bool:
        """Whether any of `tasks` tests the label. One that none tests is untested, not wrong."""
        return any(self.tests(label, task) for task in tasks)


def load_concept_tests(own: str | Path | None = None, concepts: ConceptMap | None = None) -> ConceptTests:
    """The packaged rows and those of `own`, a CSV ``concept,dataset,task`` (task empty: all of the data set's).

    Labels are read by `concepts` (None: the packaged concept map). Raises `CcsError` for a file that is none, or a row without
    concept or data set.
    """
    rows = []
    for path in (ASSETS / "concept_tests.csv", *([Path(own).expanduser()] if own else [])):
        for number, row in enumerate(read_csv(path, COLUMNS), 1):
            concept, dataset = row["concept"], row["dataset"]
            if concept is None or dataset is None:
                raise CcsError(f"{path}, row {number}: a row needs a concept and a data set, as in `textures,dtd,`.")
            rows.append((concept, Task(dataset, row["task"] or "")))
    return ConceptTests(rows, concepts or load_concepts())
