"""What of a run folder goes to W&B as versioned artifacts, beside the tables that the run shows."""

from __future__ import annotations

from typing import Any

from ccs_exp.run_folder.folder import RunFolder

KINDS = {"heads": "heads.csv", "predictions": "predictions.parquet", "page": "report.html", "atlas": "atlas"}


def artifacts(library: Any, folder: RunFolder, run_id: str) -> list[Any]:
    """Those that the folder has, named after the run, whose id is its cell's: a cell that ran again makes new versions."""
    found = []
    for kind, name in KINDS.items():
        path = folder.path.resolve() / name
        if path.exists():
            artifact = library.Artifact(f"{kind}-{run_id}", type=kind)
            add = artifact.add_dir if path.is_dir() else artifact.add_file
            add(str(path), policy="immutable", skip_cache=True)  # from where it lies: W&B would keep a copy in the user's home
            found.append(artifact)
    return found
