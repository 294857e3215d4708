"""What a reading of the heads says: what they represent, whether they detect what their texts name, whether five descriptions suffice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccs_exp.evidence.concept_tests import ConceptTests, Task
from ccs_exp.evidence.detection import NamedValues, detect, detect_factor, factor_of
from ccs_exp.evidence.from_evaluation import Table
from ccs_exp.evidence.reading import Reading
from ccs_exp.evidence.represents import COLUMNS, Representation, representation
from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.statistics.roc import Area

DETECTION_COLUMNS = ("head", "text", "is_label", "names", "area", "low", "high", "positives", "negatives")
SUFFICIENCY_COLUMNS = ("replacement", "head", "task", "accuracy", "margin", "accuracy_original", "margin_original")


def label_factors(scores: Sequence[HeadScore], tasks: Sequence[Task], tests: ConceptTests) -> dict[int, int]:
    """For the place of each head whose label a task tests, the task's place."""
    found = {place: factor_of(score.label, tasks, tests) for place, score in enumerate(scores)}
    return {place: list(tasks).index(task) for place, task in found.items() if task is not None}


def represented(reading: Reading, tasks: Sequence[Task], seed: int) -> tuple[Table, Representation]:
    found = representation(reading.sums, seed=seed)
    return Table(COLUMNS, found.rows(reading.heads, list(map(str, tasks)))), found


def detection(
    reading: Reading, scores: Sequence[HeadScore], tasks: Sequence[Task], factors: Mapping[int, int]
) -> tuple[Table, dict[Head, Area | None]]:
    """The areas of labels and descriptions. A label that names a factor is scored value by value; one that no task tests has none.

    The reading holds each head's label first, then its descriptions.
    """
    values = NamedValues({task: of.class_names for task, of in zip(tasks, reading.tasks, strict=True)})
    targets = dict(zip(tasks, reading.targets.T, strict=True))
    rows: list[dict[str, Any]] = []
    labels: dict[Head, Area | None] = {}
    for place, score in enumerate(scores):
        texts = [score.label, *score.descriptions]
        for number, text in enumerate(texts):
            if text is None:
                continue
            if number == 0 and place in factors:
                task = tasks[factors[place]]
                names, area = str(task), detect_factor(reading.of_factors[place], targets[task])
            else:
                named = values.of(text)
                names = "; ".join(f"{task}: {', '.join(_names(reading, tasks, task, of))}" for task, of in named.items())
                area = detect(reading.along[:, place, number], named, targets)
            if number == 0:
                labels[score.head] = area
            rows.append(dict(zip(DETECTION_COLUMNS, (str(score.head), text, number == 0, names or None, *_numbers(area)), strict=True)))
    return Table(DETECTION_COLUMNS, rows), labels


def sufficiency(reading: Reading) -> Table:
    """Accuracy and mean margin where heads are replaced, all together (``head`` empty) and each alone, beside the original's."""
    rows = []
    for name in dict.fromkeys(name for name, _ in reading.margins if name != "original"):
        for place, task in enumerate(reading.tasks):
            has = reading.targets[:, place] >= 0
            original, replaced = (reading.margins[key, task.name][:, has] for key in ("original", name))
            for head, margin in zip((None, *reading.heads), replaced, strict=True):
                values = (float((margin > 0).mean()), float(margin.mean()), float((original > 0).mean()), float(original.mean()))
                rows.append(dict(zip(SUFFICIENCY_COLUMNS, (name, head and str(head), task.name, *values), strict=True)))
    return Table(SUFFICIENCY_COLUMNS, rows)


def _names(reading: Reading, tasks: Sequence[Task], task: Task, values: frozenset[int]) -> list[str]:
    names = reading.tasks[list(tasks).index(task)].class_names
    return [names[value] for value in sorted(values)]


def _numbers(area: Area | None) -> tuple[float | int | None, ...]:
    if area is None:
        return (None,) * 5
    low, high = area.interval or (None, None)
    return area.value, low, high, area.positives, area.negatives
