"""Weights & Biases as a mirror of a finished run folder, online or as an offline record."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS
from ccs_exp.run_folder.columns import HEADS_COLUMNS, PRIMARY_METRICS
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.record_folders import place_aside, take_place, use_temporary_places

if TYPE_CHECKING:
    import pandas
    import wandb

log = logging.getLogger(__name__)

_SECRET_NAME = re.compile(r"(^|[_-])(api[_-]?key|key|token|secret|password|credentials?)$", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_HIDDEN = "[hidden]"
_INIT_SECONDS, _UPLOAD_SECONDS = 30.0, 300.0


class Tracker(Protocol):
    """Sends a finished run folder somewhere. A tracker that fails warns; the results are in the folder already.

    `track` says in which mode the run was recorded, None: it was not.
    """

    def track(self, run_dir: Path, *, config: dict, name: str, group: str | None, tags: Sequence[str]) -> str | None: ...


class NoTracker:
    """Tracks nothing."""

    def track(self, run_dir: Path, *, config: dict, name: str, group: str | None, tags: Sequence[str]) -> None:
        return None  # in no mode


class WandbTracker:
    """One W&B run for each run folder, kept in ``<run folder>/wandb``.

    `mode`: ``offline`` writes a record without any network (``wandb sync`` uploads it later); ``online`` uploads, and falls
    back to an offline record, with a warning, where there is no login or no connection.
    """

    def __init__(
        self,
        mode: Literal["offline", "online"] = "offline",
        project: str = "ccs_exp",
        entity: str | None = None,
        tags: Sequence[str] = (),
    ):
        if mode not in ("offline", "online"):
            raise CcsError(f"tracker.mode={mode} is not known. Choose offline or online, or no tracker with tracker=none.")
        self.mode, self.project, self.entity, self.tags = mode, project, entity, tuple(tags or ())

    def track(
        self, run_dir: Path, *, config: dict, name: str, group: str | None, tags: Sequence[str], key: str | None = None
    ) -> str | None:
        """Mirror a finished run. The run's id is `key`, by default the configuration's hash in ``summary.json``.

        A record appears whole, and takes the place of those of the same id in the folder and in the folders of the same sweep. Under an
        agent of a W&B sweep, the agent names the run.
        """
        # unless told otherwise, W&B reports its own errors to its makers, which takes the network offline too
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # it advertises itself where a language model was asked
        folder = RunFolder(run_dir)
        summary = folder.read_summary()
        description = {
            "id": _agents_run() or re.sub(r"[^A-Za-z0-9_.-]", "-", key or str(summary["config_hash"]))[:64],
            "name": name,
            "group": group,
            "tags": list(dict.fromkeys(tag[:64] for tag in (*self.tags, *tags) if tag)),
            "config": without_secrets(config)
            | {"code": code_version(), "cell": {name: summary[name] or "scores" for name in ("model", "dataset")}},
        }
        for mode in dict.fromkeys((self.mode, "offline")):
            try:
                self._mirror(folder, summary, mode, description)
                return mode
            except Exception as error:  # whatever W&B raises: the results are safe, and the job has succeeded
                reason = hide_secrets(" ".join(str(error).split())) or type(error).__name__
                if mode == "online":
                    log.warning("W&B online is not used: %s. The run is recorded offline, in %s/wandb.", reason, folder.path)
                else:
                    log.warning("W&B has no record of this run: %s. All results are in %s.", reason, folder.path)
        return None

    def _mirror(self, folder: RunFolder, summary: Mapping[str, Any], mode: str, description: dict[str, Any]) -> None:
        use_temporary_places()
        import wandb

        aside = place_aside(folder.path)
        settings = _settings(wandb)
        place = {"mode": mode, "dir": aside, "project": self.project, "entity": self.entity}
        run, code = None, 1
        try:
            if mode == "online" and not _logged_in(wandb, settings):
                raise ConnectionError("there is no login; run `wandb login`, or set WANDB_API_KEY")
            run = wandb.init(**place, **description, settings=settings, save_code=False)
            run.log(_scalars(folder, summary) | _media(wandb, folder))
            run.summary.update({key: summary[key] for key in ("warnings", "skipped", "unjudged")})
            code = 0
        finally:
            if run is not None:
                run.finish(exit_code=code)
            if wandb.run is None:  # otherwise the caller has a run of their own, which this would end
                wandb.teardown()  # finish() returns before the record is on disk
            if code:
                shutil.rmtree(aside, ignore_errors=True)
        take_place(aside, folder.path, description["id"])


def without_secrets(value: Any) -> Any:
    """`value` with every entry hidden whose name says that it is a secret, or that holds one of the environment's secrets."""
    if isinstance(value, Mapping):
        return {
            str(key): _HIDDEN if _SECRET_NAME.search(str(key)) and isinstance(item, str) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return hide_secrets(value) if isinstance(value, str) else value


def hide_secrets(text: str) -> str:
    """`text` without the values of secret environment variables, and without user names and passwords in addresses."""
    for name, secret in os.environ.items():
        if _SECRET_NAME.search(name) and len(secret) >= 8:
            text = text.replace(secret, _HIDDEN)
    return _USER_IN_URL.sub(f"{_HIDDEN}@", text)


def code_version() -> dict[str, str | None]:
    """The package's version and, in a checkout, its commit (``-dirty`` if files were changed)."""
    root = ASSETS.parents[1]
    commit = None
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
            commit = found.stdout.strip() or None
        except (OSError, subprocess.SubprocessError):
            commit = None
    return {"version": version("ccs_exp"), "commit": commit}


def _settings(wandb: Any) -> wandb.Settings:
    """Quiet, and without what W&B would gather by itself: code, git remote, packages, the machine's description."""
    return wandb.Settings(
        silent=True,
        console="off",
        show_errors=False,
        show_warnings=False,
        show_info=False,
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        symlink=False,
        use_dot_wandb=False,
        reinit="create_new",
        init_timeout=_INIT_SECONDS,
        finish_timeout=_UPLOAD_SECONDS,
    )


def _logged_in(wandb: Any, settings: wandb.Settings) -> bool:
    """Whether there are credentials; never asks for any, which would hold up a job that nobody watches."""
    if wandb.run is not None:
        return True
    wandb.setup(settings=settings)
    return bool(wandb.login(prompt=False, verify=False))


def _agents_run() -> str | None:
    """The id that an agent of a W&B sweep has given this process's run, so that the sweep finds it."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None


def _scalars(folder: RunFolder, summary: Mapping[str, Any]) -> dict[str, float]:
    """Flat keys: ``accuracy/<condition>``, ``delta/<condition>``, ``<metric>/<condition>``, ``ccs_at_k/<k>``."""
    scalars: dict[str, float] = {}
    at_k = folder.read_ccs_at_k()
    if at_k is not None:
        scalars |= {f"ccs_at_k/{row['k']}": row["fraction"] for row in at_k.to_dict("records")}
    accuracy = folder.read_accuracy()
    if accuracy is not None:
        primary = summary["metric"] or next((name for name in PRIMARY_METRICS if name in set(accuracy["metric"])), None)
        for row in accuracy.to_dict("records"):
            if row["metric"] == primary:
                scalars[f"accuracy/{row['condition']}"] = row["value"]
                scalars[f"delta/{row['condition']}"] = row["delta"]
                scalars[f"num_pruned/{row['condition']}"] = row["num_pruned"]
            else:
                scalars[f"{row['metric']}/{row['condition']}"] = row["value"]
    random = summary["random"] or {}
    scalars |= {f"random/{name}": random.get(name) for name in ("mean", "sd")}
    return {key: value for key, value in scalars.items() if value is not None}


def _media(wandb: Any, folder: RunFolder) -> dict[str, Any]:
    """The CCS distribution as bar chart and histogram, the table of heads, and the figures."""
    heads: pandas.DataFrame = folder.read_heads()
    table = wandb.Table(columns=list(HEADS_COLUMNS), data=heads.values.tolist(), allow_mixed_types=True)
    media: dict[str, Any] = {"heads": table}
    scores = [ccs for ccs in heads["ccs"] if ccs is not None]
    at_k = folder.read_ccs_at_k()
    if at_k is not None:
        rows = wandb.Table(columns=["k", "fraction"], data=[[str(k), fraction] for k, fraction in at_k.values.tolist()])
        media["ccs_distribution/bars"] = wandb.plot.bar(rows, "k", "fraction", title="CCS@K")
    if scores:
        counts = [scores.count(k) for k in range(6)]
        media["ccs_distribution/histogram"] = wandb.Histogram(np_histogram=(counts, [k - 0.5 for k in range(7)]))
    for path in sorted(folder.figures.glob("*.png")):
        media[f"figures/{path.stem}"] = wandb.Image(str(path))
    return media
