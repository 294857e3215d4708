"""Of many runs what their evidence says together: each model's causal map over all its data sets, and CCS against cost, over models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from ccs_exp.files import csv_bytes
from ccs_exp.heads import Head
from ccs_exp.report.evidence import CausalMapView, MapTables, causal_map, map_tables
from ccs_exp.report.reproduction.collect import Run
from ccs_exp.statistics.pooling import Pooled, pooled_rho
from ccs_exp.statistics.rank_correlation import RankCorrelation, within_strata

COLUMNS = ("model", "ablation", "datasets", "tasks", "heads", "rho", "rho_low", "rho_high", "p")
POOLED = "pooled over models"


@dataclass(frozen=True)
class ModelEvidence:
    """One model under one kind of silencing: the map over the tasks of all its data sets, the latest run of each."""

    model: str
    ablation: str
    datasets: tuple[str, ...]
    view: CausalMapView

    @cached_property
    def correlation(self) -> RankCorrelation:
        """CCS against the mean standardised cost over all tasks, within layers."""
        known = []
        for row in self.view.rows:
            costs = [value for value, *_ in row.cells if value is not None]
            if row.ccs is not None and costs:
                known.append((float(row.ccs), fmean(costs), Head.parse(row.head).layer))
        ccs, costs_of, layers = zip(*known, strict=True) if known else ((), (), ())
        return within_strata(ccs, costs_of, layers)


@dataclass(frozen=True)
class SweepEvidence:
    models: tuple[ModelEvidence, ...]

    @cached_property
    def pooled(self) -> Pooled | None:
        """Over models silenced alike, as most are: of several kinds that of the most models."""
        kinds = [item.ablation for item in self.models]
        most = max(kinds, key=kinds.count, default="")
        return pooled_rho([item.correlation for item in self.models if item.ablation == most])


def sweep_evidence(runs: Iterable[Run]) -> SweepEvidence:
    """Of the runs in the order of their finishing. Those with other labels or scores than a model's latest run are left out of its map."""
    found: dict[tuple[str, str], dict[str, MapTables]] = {}
    for run in runs:
        tables = map_tables(run.contents.path)
        if tables is not None and run.dataset is not None:
            datasets = found.setdefault((run.model, str(run.choices.get("ablation") or "zero")), {})
            datasets.pop(run.dataset, None)
            datasets[run.dataset] = tables
    models = []
    for (model, ablation), datasets in found.items():
        latest = list(datasets.values())[-1]
        alike = {name: tables for name, tables in datasets.items() if _scores(tables) == _scores(latest)}
        models.append(ModelEvidence(model, ablation, tuple(sorted(alike)), causal_map([alike[name] for name in sorted(alike)])))
    return SweepEvidence(tuple(models))


def evidence_csv(found: SweepEvidence) -> bytes:
    """A row for each model, and one for all of them."""
    rows: list[Mapping[str, Any]] = []
    for item in found.models:
        correlation = item.correlation
        low, high = correlation.interval or (None, None)
        names = (item.model, item.ablation, "; ".join(item.datasets), len(item.view.tasks), correlation.count)
        rows.append(dict(zip(COLUMNS, (*names, correlation.rho, low, high, correlation.p), strict=True)))
    pooled = found.pooled
    if pooled is not None:
        values = (POOLED, None, None, None, None, pooled.value, *pooled.interval, None)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return csv_bytes(rows, COLUMNS)


def _scores(tables: MapTables) -> list[tuple[Any, ...]]:
    return list(tables.heads[["head", "label", "ccs"]].astype(str).itertuples(index=False, name=None))
