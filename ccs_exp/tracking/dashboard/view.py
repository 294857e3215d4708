"""The saved view of a W&B project: scores per model, accuracies and deltas per condition by model, data set and strategy, tables, pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD, ORIGINAL
from ccs_exp.tracking import keys

CONDITIONS = (ORIGINAL, "high_ccs", "low_ccs", keys.RANDOM_MEAN)
_CONDITION = re.compile(r"original|(high|low)_ccs(/\d+)?|random/(mean|\d+)|(concept|heads)/.+|head/L\d+\.H\d+|curve/.+")
_MOST_RUNS = 200  # in a panel: more than the paper's sixty cells under three strategies


def workspace(
    project: str,
    entity: str,
    name: str = "CCS",
    conditions: Sequence[str] = CONDITIONS,
    only: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """A ``wandb_workspaces`` workspace over the keys of `ccs_exp.tracking.keys`; nothing is sent.

    Args:
        conditions: which to show beside each other; the first is what the others are compared with.
        only: of `keys.CELL`, the values that runs must have to be shown.

    Raises:
        CcsError: a condition that no strategy names, or no wandb-workspaces.
    """
    unknown = [condition for condition in conditions if not _CONDITION.fullmatch(condition)]
    if unknown:
        raise CcsError(
            f"--conditions {unknown[0]}: no strategy names its conditions so. As in {' '.join(CONDITIONS)} random/0 concept/animals "
            "heads/mine head/L8.H3."
        )
    workspaces, panels = _library()

    def bars(title: str, metrics: Sequence[str], groupby: str | None = None) -> Any:
        return panels.BarPlot(
            title=title,
            metrics=list(metrics),
            orientation="v",
            groupby=groupby and panels.Config(keys.column(groupby)),
            groupby_aggfunc="mean" if groupby else None,
            groupby_rangefunc="stddev" if groupby else None,
            max_runs_to_show=_MOST_RUNS,
            max_bars_to_show=_MOST_RUNS,
        )

    def by_condition(kind: str, shown: Sequence[str]) -> list[Any]:
        each = [keys.key(kind, condition) for condition in shown]
        grouped = [bars(f"{metric} by {what}", [metric], what) for what in keys.CELL for metric in each]
        return [bars(f"{kind}, every run", each), *grouped]

    def table(key: str) -> Any:
        return panels.WeavePanelSummaryTable(table_name=key, layout=panels.Layout(w=24, h=12))

    figures = [keys.key(keys.FIGURES, figure) for figure in ("heads_map", "accuracy", "delta")]
    draws = [keys.key(keys.ACCURACY, draw) for draw in (keys.RANDOM_MEAN, keys.RANDOM_SD)]
    at_k = range(DESCRIPTIONS_PER_HEAD + 1)
    sections = {
        "CCS@K per model": [bars(f"CCS@{k} by model", [keys.key(keys.CCS_AT_K, k)], "model") for k in at_k],
        "Accuracy per condition": by_condition(keys.ACCURACY, conditions),
        "Delta per condition": by_condition(keys.DELTA, conditions[1:]),
        "Random draws": [bars("mean over the seeds, and their standard deviation", draws)],
        "Conditions": [table(keys.CONDITIONS)],
        "Heads": [table(keys.HEADS)],
        "Pages": [panels.MediaBrowser(media_keys=[keys.PAGE], layout=panels.Layout(w=24, h=16))],
        "Figures": [panels.MediaBrowser(media_keys=figures)],
        "What differs": [panels.RunComparer(diff_only=True, layout=panels.Layout(w=24, h=12))],
    }
    columns = {what: workspaces.Config(keys.column(what)) for what in keys.CELL}
    wanted = [columns[what].isin(list(values)) for what, values in (only or {}).items() if values]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[workspaces.Section(name=title, panels=content, is_open=True) for title, content in sections.items()],
        settings=workspaces.WorkspaceSettings(max_runs=_MOST_RUNS),
        runset_settings=workspaces.RunsetSettings(
            filters=workspaces.And(*wanted) if wanted else [],
            order=[workspaces.Ordering(column) for column in columns.values()],
            pinned_columns=[f"config:{keys.column(what)}" for what in keys.CELL],
        ),
    )


def definition(view: Any) -> dict[str, Any]:
    """What would be sent, as JSON has it."""
    return view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)  # the library has no public way


def save(view: Any) -> str:
    """Save the view and return its address. Raises `CcsError` where W&B does not take it."""
    import wandb

    try:
        return view.save().url
    except (wandb.Error, OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CcsError(
            f"W&B did not save the view of {view.entity}/{view.project}: {reason}. Check the login (`wandb login`), the names and the "
            "connection; --dry-run shows the view without them."
        ) from error


def default_entity() -> str:
    """The entity that W&B knows for the login. Raises `CcsError` where there is none."""
    import wandb

    try:
        entity = wandb.Api().default_entity
    except (wandb.Error, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CcsError(f"W&B does not say whose project it is: {reason}. Type `wandb login`, or give --entity=E.") from error
    if not entity:
        raise CcsError("W&B knows no entity for this login. Give one with --entity=E.")
    return entity


def _library() -> tuple[ModuleType, ModuleType]:
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise CcsError(
            "Views are made by wandb-workspaces, which is not installed. Type: pip install 'ccs_exp[dashboard]'."
        ) from error
    return workspaces, panels
