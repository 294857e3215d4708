"""Which concept stands in which layer (paper, section 4.1.3), for each model: as a table, and as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ccs_exp.report.drawing import INK, QUIET, png, styled
from ccs_exp.report.reproduction.cells import Book
from ccs_exp.report.reproduction.collect import PUBLISHED
from ccs_exp.report.reproduction.paper import Paper
from ccs_exp.run_folder.wording import plain
from ccs_exp.scoring.concepts import load_concepts
from ccs_exp.scoring.published import published_scores

Labelled = tuple[int, str, str | None]  # layer, label, class


@dataclass(frozen=True)
class OfModel:
    """Heads of one model by concept and layer: ``{concept: {layer: (high ones, all that bear the concept)}}``."""

    title: str
    layers: tuple[int, ...]
    concepts: Mapping[str, Mapping[int, tuple[int, int]]]
    unnamed: int = 0  # labelled heads that the map takes for no concept
    mean_layer: Mapping[str, float] = field(default_factory=dict)  # of a concept's heads


def concepts_over_layers(book: Book, paper: Paper) -> dict[str, list[OfModel]]:
    """For each source of scores its models. The authors' sets, which name few heads and those high, are always there."""
    found = {PUBLISHED: [_published(paper, model) for model in paper.models]}
    for scores, by_model in book.scores.items():
        for model, run in by_model.items():
            heads = [(head.layer, head.label, head.ccs_class) for head in run.contents.heads if head.label]
            layers = sorted({head.layer for head in run.contents.heads})
            if heads:
                found.setdefault(scores, []).append(_of_model(paper.title(model), layers, heads))
    return found


def _published(paper: Paper, model: str) -> OfModel:
    scores = published_scores(model)
    heads = [(score.head.layer, score.label, score.ccs_class) for score in scores.heads if score.label]
    return _of_model(paper.title(model), sorted({score.head.layer for score in scores.heads}), heads)


def _of_model(title: str, layers: Iterable[int], heads: Iterable[Labelled]) -> OfModel:
    concepts, unnamed = load_concepts(), 0
    counted: dict[str, dict[int, tuple[int, int]]] = {}
    for layer, label, ccs_class in heads:
        named = concepts.of(label)
        unnamed += not named
        for concept in sorted(named):
            of_layers = counted.setdefault(concept, {})
            high, every = of_layers.get(layer, (0, 0))
            of_layers[layer] = (high + (ccs_class == "high"), every + 1)
    ordered = dict(sorted(counted.items(), key=lambda item: (-sum(every for _, every in item[1].values()), item[0])))
    means = {
        concept: sum(layer * every for layer, (_, every) in of_layers.items()) / sum(every for _, every in of_layers.values())
        for concept, of_layers in ordered.items()
    }
    return OfModel(title, tuple(layers), ordered, unnamed, means)


def heat(models: list[OfModel]) -> bytes:
    """A panel for each model: heads by concept (rows) and layer (columns), high ones in numbers, as PNG."""
    names = list(dict.fromkeys(concept for model in models for concept in model.concepts))
    with styled():
        figure = Figure(figsize=(1.6 + 1.75 * len(models), 1.2 + 0.26 * len(names)), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
        for axes, model in zip(panels, models, strict=True):
            counts = [[model.concepts.get(name, {}).get(layer, (0, 0)) for layer in model.layers] for name in names]
            every = np.array([[cell[1] for cell in row] for row in counts], dtype=float).reshape(len(names), len(model.layers))
            most = max(4.0, float(every.max(initial=0)))
            axes.imshow(every, cmap="Blues", vmin=0, vmax=most, aspect="auto")
            for row, cells in enumerate(counts):
                for column, (high, count) in enumerate(cells):
                    colour = INK if count <= most / 2 else "white"
                    if count:
                        axes.text(column, row, str(high), ha="center", va="center", fontsize=7.5, color=colour)
            axes.set_xticks(range(len(model.layers)), [f"L{layer}" for layer in model.layers])
            axes.set_yticks(range(len(names)), [plain(name, 22) for name in names])
            axes.tick_params(length=0, labelsize=7.5)
            axes.set_title(plain(model.title, 20), fontsize=8, color=QUIET)
    return png(figure, dpi=110)
