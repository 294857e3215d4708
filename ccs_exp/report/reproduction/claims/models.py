"""Claims that set models beside each other: by size, training data and maker."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.claims.estimates import Estimate, mean_of, of_normal, of_pooled, scaled
from ccs_exp.report.reproduction.claims.sources import Source
from ccs_exp.report.reproduction.claims.verdict import Comparison
from ccs_exp.report.reproduction.paper import Paper, PaperModel
from ccs_exp.statistics.pooling import pooled

HIGH = "high_ccs"
Which = Callable[[PaperModel], bool]


def sizes_by_data_set(above: str) -> Callable[[Source, Paper], list[Comparison]]:
    """On each data set, the mean cost of the ViT-B models less that of the ViT-L ones, of high heads above what `above` costs."""

    def compare(source: Source, paper: Paper) -> list[Comparison]:
        found = []
        for dataset in source.datasets:
            costs: dict[str, list[Estimate]] = {"B": [], "L": []}
            for model in source.models:
                cost = source.more(model, dataset, HIGH, above)
                if cost and model in paper.models:
                    costs[paper.models[model].size].append(cost)
            small, large = (mean_of(costs[size]) for size in ("B", "L"))
            if small and large:
                name = f"{paper.datasets.get(dataset, dataset)}: {len(costs['B'])} B, {len(costs['L'])} L"
                found.append(Comparison(name, scaled(small, 1, large, 1), dataset))
        return found

    return compare


def pairs_of_models(
    which: Which, beside: Callable[[PaperModel, PaperModel], bool] = lambda one, other: True, least: bool = False
) -> Callable[[Source, Paper], list[Comparison]]:
    """Each model of `which` against each other that may stand `beside` it: how much more (`least`: less) it loses, over data sets."""

    def compare(source: Source, paper: Paper) -> list[Comparison]:
        known = [model for model in source.models if model in paper.models]
        found = []
        for one in (model for model in known if which(paper.models[model])):
            for other in (model for model in known if not which(paper.models[model])):
                if beside(paper.models[one], paper.models[other]):
                    more, less = (other, one) if least else (one, other)
                    estimate = over_data_sets(source, more, less)
                    if estimate:
                        found.append(Comparison(f"{paper.title(more)} than {paper.title(less)}", estimate))
        return found

    return compare


def over_data_sets(source: Source, more: str, less: str) -> Estimate | None:
    """How much more high heads cost one model than another: over the data sets of both, random effects. None for fewer than two."""
    pairs = [[source.more(model, dataset, HIGH) for model in (more, less)] for dataset in source.datasets]
    both = [scaled(one, 1, other, 1) for one, other in pairs if one and other]
    found = pooled([item.value for item in both], [item.error for item in both])
    return of_pooled(found) if found else None


def mean_costs(source: Source) -> dict[str, float]:
    """What high heads cost each model, the mean over its data sets."""
    costs = {model: [source.more(model, dataset, HIGH, ORIGINAL) for dataset in source.datasets] for model in source.models}
    known = {model: [item.value for item in found if item] for model, found in costs.items()}
    return {model: float(np.mean(values)) for model, values in known.items() if values}


def larger_rises(source: Source, paper: Paper) -> Sequence[Comparison]:
    """The slopes of size (ViT-L against ViT-B) and of data (a tenfold of image-text pairs) in a binomial regression over models."""
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    rows = []
    for model in source.models:
        counted = source.consistent(model) if model in paper.models else None
        if counted:
            known = paper.models[model]
            rows.append((counted[0], counted[1] - counted[0], 1.0, float(known.size == "L"), float(np.log10(known.pairs))))
    table = np.array(rows)
    if len(table) < 4 or np.linalg.matrix_rank(table[:, 2:]) < 3:
        return ()  # no slope can be told from the other
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fitted = sm.GLM(table[:, :2], table[:, 2:], family=sm.families.Binomial()).fit()
        except PerfectSeparationWarning:
            return ()  # as where no head of any model has CCS 5
    names = ("ViT-L against ViT-B", "ten times as many image-text pairs")
    slopes = [of_normal(float(slope), float(error)) for slope, error in zip(fitted.params[1:], fitted.bse[1:], strict=True)]
    return [Comparison(name, slope) for name, slope in zip(names, slopes, strict=True)]
