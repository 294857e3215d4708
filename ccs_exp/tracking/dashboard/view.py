"""The saved view of a W&B project: scores per model, accuracies and deltas per condition across models and data sets, heads."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ccs_exp.errors import CcsError

CONDITIONS = ("original", "high_ccs", "low_ccs", "random/0", "random/1", "random/2")
_MODEL, _DATASET = "cell.model", "cell.dataset"
_MOST_RUNS = 100  # in a panel: more than the paper's sixty cells


def workspace(project: str, entity: str, name: str = "CCS", conditions: Sequence[str] = CONDITIONS) -> Any:
    """A ``wandb_workspaces`` workspace over the keys that `ccs_exp.tracking.tracker` writes; nothing is sent.

    Args:
        conditions: which to show beside each other; the first is what the others are compared with.
    """
    workspaces, panels = _library()

    def bars(title: str, metrics: Sequence[str], groupby: str | None = None) -> Any:
        return panels.BarPlot(
            title=title,
            metrics=list(metrics),
            orientation="v",
            groupby=groupby and panels.Config(groupby),
            groupby_aggfunc="mean" if groupby else None,
            max_runs_to_show=_MOST_RUNS,
            max_bars_to_show=_MOST_RUNS,
        )

    def by_condition(kind: str, shown: Sequence[str]) -> list[Any]:
        each = [f"{kind}/{condition}" for condition in shown]
        return [
            bars(f"{kind}, every run", each),
            *(bars(f"{metric} by model, mean over data sets", [metric], _MODEL) for metric in each),
            *(bars(f"{metric} by data set, mean over models", [metric], _DATASET) for metric in each),
        ]

    at_k = [bars(f"CCS@{k} by model", [f"ccs_at_k/{k}"], _MODEL) for k in range(6)]
    sections = {
        "CCS@K per model": at_k,
        "Accuracy per condition": by_condition("accuracy", conditions),
        "Delta per condition": by_condition("delta", conditions[1:]),
        "Heads": [panels.WeavePanelSummaryTable(table_name="heads", layout=panels.Layout(w=24, h=12))],
        "Figures": [
            panels.MediaBrowser(media_keys=["figures/ccs_at_k", "figures/accuracy", "figures/delta", "figures/heads_map"])
        ],
        "What differs": [panels.RunComparer(diff_only=True, layout=panels.Layout(w=24, h=12))],
    }
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[workspaces.Section(name=title, panels=content, is_open=True) for title, content in sections.items()],
        settings=workspaces.WorkspaceSettings(max_runs=_MOST_RUNS),
        runset_settings=workspaces.RunsetSettings(
            order=[workspaces.Ordering(workspaces.Config(_MODEL)), workspaces.Ordering(workspaces.Config(_DATASET))]
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
