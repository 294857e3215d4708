"""What the paper and open_clip published, read from ``assets/paper``. All values are fractions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccs_exp.files import ASSETS, read_csv, read_yaml
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS

_FOLDER = ASSETS / "paper"
_CONDITIONS = ("original", "high_ccs", "low_ccs")


@dataclass(frozen=True)
class PaperModel:
    """One of the six variants, as Table 3 describes it. `pairs`: millions of image-text pairs that it was trained on."""

    title: str
    size: str
    patch: int
    data: str
    pairs: int

    @property
    def openai(self) -> bool:
        return self.data.startswith("OpenAI-")


@dataclass(frozen=True)
class Tolerance:
    """How far our accuracy (`value`) and what silencing costs (`delta`) may lie from the paper's, as fractions, and why so far."""

    value: float
    delta: float
    reason: str


@dataclass(frozen=True)
class View:
    """A table or figure: which data sets it shows under which conditions. `equal`: heads in equal number."""

    name: str
    title: str
    what: str
    datasets: tuple[str, ...]
    conditions: tuple[str, ...]
    equal: bool = False


@dataclass(frozen=True)
class Paper:
    """The paper's arrangement and numbers.

    Attributes:
        values: ``{(model, data set, condition): accuracy}`` of Tables 4 to 6.
        in_text: the same of the figures whose numbers the text gives, by figure.
        samples: of each data set under protocol=paper.
        groups: data sets ``in_domain``, ``out_of_domain`` and of ``video``.
        concepts: those of Figures 3 and 4.
        tolerances: of ``make verify-paper``, by data set.
        own_protocol: what protocol=paper does in another way, for each data set where it does.
        reference: open_clip's own ``{(model, data set): accuracy}``.
        ccs_at_k: Table 3, ``{model: (fraction with CCS 0, ... 5)}``.
        agreement: Table 2, ``{model: {statistic: value}}``.
        examples: the rows of Table 1.
    """

    models: Mapping[str, PaperModel]
    datasets: Mapping[str, str]
    samples: Mapping[str, int]
    groups: Mapping[str, Sequence[str]]
    concepts: tuple[str, ...]
    tolerances: Mapping[str, Tolerance]
    own_protocol: Mapping[str, str]
    views: Mapping[str, View]
    values: Mapping[tuple[str, str, str], float]
    in_text: Mapping[str, Mapping[tuple[str, str, str], float]]
    reference: Mapping[tuple[str, str], float]
    ccs_at_k: Mapping[str, tuple[float, ...]]
    agreement: Mapping[str, Mapping[str, float]]
    examples: tuple[dict[str, str], ...]

    def title(self, model: str) -> str:
        """What people read for a model."""
        return self.models[model].title if model in self.models else model

    def value(self, view: str, model: str, dataset: str, condition: str) -> float | None:
        """The paper's number, or None where it gives none. Figure 2 draws the conditions of Table 4."""
        key = (model, dataset, condition)
        if view in ("figure3", "figure4"):
            return self.in_text.get(view, {}).get(key)
        equal = view in self.views and self.views[view].equal
        return self.values.get(key) if not equal or condition == "original" else None


@functools.cache
def load_paper() -> Paper:
    """Read the packaged facts; kept once read."""
    layout = read_yaml(_FOLDER / "layout.yaml")
    views = {
        name: View(name, view["title"], view["what"], tuple(view["datasets"]), tuple(view["conditions"]), view.get("heads") == "equal")
        for name, view in layout["views"].items()
    }
    values = {
        (row["model"], row["dataset"], condition): _fraction(row[condition])
        for row in _facts("accuracy", "model", "dataset", *_CONDITIONS)
        for condition in _CONDITIONS
    }
    in_text: dict[str, dict[tuple[str, str, str], float]] = {}
    for row in _facts("figures", "figure", "model", "dataset", "condition", "value"):
        in_text.setdefault(row["figure"], {})[row["model"], row["dataset"], row["condition"]] = _fraction(row["value"])
    reference = {
        (row["model"], row["dataset"]): _fraction(row["accuracy"])
        for row in _facts("openclip_accuracy", "model", "dataset", "accuracy")
    }
    by_k, statistics = [f"ccs@{k}" for k in range(6)], ("kappa", "spearman", "kendall")
    tolerances = layout["tolerances"].items()
    return Paper(
        models={name: PaperModel(**entry) for name, entry in layout["models"].items()},
        datasets=layout["datasets"],
        samples=layout["samples"],
        groups=layout["groups"],
        concepts=tuple(layout["concepts"]),
        tolerances={name: Tolerance(item["value"] / 100, item["delta"] / 100, item["reason"]) for name, item in tolerances},
        own_protocol=layout["own_protocol"],
        views=views,
        values=values,
        in_text=in_text,
        reference=reference,
        ccs_at_k={row["model"]: tuple(float(row[column]) for column in by_k) for row in _facts("ccs_at_k", "model", *by_k)},
        agreement={row["model"]: {name: float(row[name]) for name in statistics} for row in _facts("agreement", "model", *statistics)},
        examples=tuple(_facts("examples", "class", "head", "label", *DESCRIPTION_COLUMNS)),
    )


def _facts(name: str, *columns: str) -> list[dict[str, str]]:
    return [{column: row.text(column) for column in columns} for row in read_csv(_FOLDER / f"{name}.csv", columns)]


def _fraction(per_cent: str) -> float:
    return float(per_cent) / 100
