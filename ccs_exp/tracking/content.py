"""What a run folder has for its record: each number once and as a number, tables, figures, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ccs_exp.files.whole import DECIMALS
from ccs_exp.heads import MATCHED, ORIGINAL
from ccs_exp.run_folder.columns import HEADS_COLUMNS, UNCERTAINTY_COLUMNS
from ccs_exp.run_folder.evidence_files import read_evidence
from ccs_exp.run_folder.evidence_summary import EvidenceSummary
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import Summary, primary_metric
from ccs_exp.run_folder.wording import number
from ccs_exp.tracking import keys

if TYPE_CHECKING:
    import wandb

_FIGURES_OF_NUMBERS = ("ccs_at_k",)  # which are there already
_NUMBERS = ("stages", "images_per_second", "seconds", "peak_memory_mib", "gpu_peak_memory_mib")  # of what ran


def config(summary: Summary) -> dict[str, Any]:
    """What was asked, the cell, and what answered: all that is not measured."""
    asked, ran = summary["asked"], summary["ran"]
    answered = {name: value for name, value in (ran or {}).items() if name not in _NUMBERS}
    return (asked["config"] if asked else {}) | {"cell": keys.cell(summary), "ran": answered | {"weights": summary["weights"]}}


def numbers(folder: RunFolder, summary: Summary) -> dict[str, float]:
    """All scalars under flat keys. What does not exist has none: no value of an empty set, no difference of the original to itself."""
    found: dict[str, float | None] = {keys.key(keys.CCS_AT_K, k): share for k, share in (summary["ccs_at_k"] or {}).items()}
    found |= _of_conditions(folder, summary) | _of_draws(summary) | _of_skews(folder) | _of_evidence(summary["evidence"] or {})
    ran = summary["ran"]
    if ran:
        found |= {keys.key(keys.SECONDS, name): value for name, value in ran["stages"].items()}
        found |= {keys.key(keys.IMAGES_PER_SECOND, name): value for name, value in ran["images_per_second"].items()}
        found |= {keys.key(keys.SECONDS, "total"): ran["seconds"], keys.MEMORY: ran["peak_memory_mib"]}
        found |= {f"gpu_{keys.MEMORY}": ran["gpu_peak_memory_mib"]}
    return {name: value for name, value in found.items() if value is not None}


def _of_conditions(folder: RunFolder, summary: Summary) -> dict[str, float | None]:
    """``accuracy/<condition>``, ``delta/<condition>``, ``<metric>/<condition>``; of several tasks ``accuracy/<task>/<condition>`` too."""
    table = folder.read_accuracy()
    rows: list[dict[Any, Any]] = [] if table is None else table.to_dict("records")
    pruned = {row["condition"]: row["num_pruned"] for row in rows if not row["condition"].startswith(MATCHED)}
    found: dict[str, float | None] = {keys.key(keys.NUM_PRUNED, name): count for name, count in pruned.items()}
    shown = {name for name, count in pruned.items() if count or name == ORIGINAL}
    several = len({row.get("task") for row in rows}) > 1
    metric = primary_metric(summary, dict.fromkeys(row["metric"] for row in rows)) if rows else None
    for row in rows:
        name = row["condition"]
        if name in shown:
            primary = row["metric"] == metric
            place = (row["task"], name) if several else (name,)
            found[keys.key(keys.ACCURACY if primary else row["metric"], *place)] = row["value"]
            if primary and name != ORIGINAL:
                found[keys.key(keys.DELTA, *place)] = row["delta"]
    if several:
        for kind, means in ((keys.ACCURACY, summary["accuracy"]), (keys.DELTA, summary["delta"])):
            found |= {keys.key(kind, name): value for name, value in (means or {}).items() if name in shown}
    found.pop(keys.key(keys.DELTA, ORIGINAL), None)
    return found


def _of_draws(summary: Summary) -> dict[str, float | None]:
    """Mean and spread over the random draws."""
    random, accuracy = summary["random"], summary["accuracy"]
    if random is None or accuracy is None:
        return {}
    mean, original = random["mean"], accuracy.get(ORIGINAL)
    return {
        keys.key(keys.ACCURACY, keys.RANDOM_MEAN): mean,
        keys.key(keys.ACCURACY, keys.RANDOM_SD): random["sd"],
        keys.key(keys.DELTA, keys.RANDOM_MEAN): None if mean is None or original is None else round(mean - original, DECIMALS),
    }


def _of_evidence(evidence: EvidenceSummary) -> dict[str, float | None]:
    """``evidence/rho``, ``evidence/labels_right/<sense>/<heads>`` and so on."""
    found: dict[str, float | None] = {}
    correlation, specificity = evidence.get("ccs_against_cost"), evidence.get("specificity")
    if correlation:
        found |= {"rho": correlation["rho"], "p": correlation["p"]}
    senses = evidence.get("labels_right") or {}
    for sense, shares in (("most_affected", senses.get("most_affected")), ("represents", senses.get("represents"))):
        for of, share in (("all", shares["all"]), ("high", shares["high"]), ("others", shares["others"])) if shares else ():
            found[f"labels_right/{sense}/{of}"] = share["right"] / share["tested"] if share["tested"] else None
            found[f"labels_right/{sense}/{of}/permuted"] = share["permuted"]
    if specificity:
        found |= {"specificity": specificity["mean"]}
    for null in evidence.get("nulls", []):
        found |= {f"cost/{null['condition']}": null["cost"], f"p_matched/{null['condition']}": null["p"]}
    for area in evidence.get("areas", []):
        found[f"area/{area['task']}/{area['first']}-{area['second']}"] = area["area"]
    for judge in evidence.get("intruders", []):
        found |= {f"intruder/{judge['judge']}": judge["found"], f"intruder/{judge['judge']}/high_against_low": judge["area"]}
    for again in evidence.get("stability", []):
        parts = {"descriptions": again["descriptions"], "label": again["label"], "ccs": again["ccs"]}
        found |= {f"stability/{again['probe']}/{what}": share["value"] for what, share in parts.items()}
    return {keys.key(keys.EVIDENCE, name): value for name, value in found.items()}


def _of_skews(folder: RunFolder) -> dict[str, float | None]:
    """``skew/<measure>/<attribute>/<condition>`` and ``skew_delta/...``: means over occupations."""
    table = read_evidence(folder.path, "skew_means.csv")
    rows: list[dict[Any, Any]] = [] if table is None else table.to_dict("records")
    kinds = ((keys.SKEW, "value"), (keys.SKEW_DELTA, "delta"))
    return {
        keys.key(kind, row["measure"], row["attribute"], row["condition"]): number(row[column]) for row in rows for kind, column in kinds
    }


def media(library: Any, run: wandb.Run, folder: RunFolder) -> dict[str, Any]:
    """Heads and conditions as tables, the figures, and the page."""
    found: dict[str, Any] = {keys.HEADS: _table(library, run, keys.HEADS, folder.read_heads().values.tolist(), HEADS_COLUMNS)}
    conditions = folder.read_uncertainty()
    if conditions is not None:
        found[keys.CONDITIONS] = _table(library, run, keys.CONDITIONS, conditions.values.tolist(), UNCERTAINTY_COLUMNS)
    for name in (keys.CAUSAL_MAP, keys.EVIDENCE):
        table = read_evidence(folder.path, f"{name}.csv")
        if table is not None:
            found[name] = _table(library, run, name, table.values.tolist(), list(table.columns))
    for path in sorted(folder.figures.glob("*.png")):
        if path.stem not in _FIGURES_OF_NUMBERS:
            found[keys.key(keys.FIGURES, path.stem)] = library.Image(str(path))
    page = folder.path / "report.html"
    if page.exists():
        found[keys.PAGE] = library.Html(str(page), inject=False)  # as it is: its policy allows no style from elsewhere
    return found


def _table(library: Any, run: wandb.Run, name: str, rows: list[list[Any]], columns: Sequence[str]) -> Any:
    table = library.Table(columns=list(columns), data=rows[:1], allow_mixed_types=True)
    table.data.extend(rows[1:])  # as they are: W&B would look for the type of every cell, though any will do
    # as a file of the run alone: W&B would make an artifact of it too, whose entry names an absolute path outside the record
    table.bind_to_run(run, name, 0)
    return table
