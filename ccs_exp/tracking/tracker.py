"""Trackers: what sends a finished run folder somewhere, as the configuration's ``tracker`` names it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ccs_exp.config.secrets import hide_secrets, without_secrets
from ccs_exp.errors import CcsError
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.run_folder.summary import Summary, read_summary
from ccs_exp.tracking import content, keys
from ccs_exp.tracking.artifacts import artifacts
from ccs_exp.tracking.record_folders import own_places, place_aside, take_place
from ccs_exp.tracking.record_log import begin_earlier

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

Mode = Literal["offline", "online"]
_PROJECT = "ccs_exp"
_UPLOAD_SECONDS = 300.0
_NOT_IN_NAMES = frozenset("/\\#?%:")  # of projects and entities
_WITHOUT_NETWORK = ("offline", "dryrun", "disabled")


class Tracker(Protocol):
    """Sends a finished run folder somewhere. A tracker that fails warns; the results are in the folder already.

    `track` says in which mode the run was recorded, None: it was not.
    """

    def track(self, run_dir: Path) -> str | None: ...


class NoTracker:
    """Tracks nothing."""

    def track(self, run_dir: Path) -> None:
        return None  # in no mode


class WandbTracker:
    """One W&B run for each run folder, kept in ``<run folder>/wandb``.

    `mode`: ``offline`` writes a record without any network (``wandb sync`` uploads it later); ``online`` uploads one, with heads,
    predictions and atlas as artifacts, and leaves that of ``offline``, with a warning, where there is no login or no connection.
    `project`, `group` and `tags`: None and none leave what the run's own job was asked for.
    """

    def __init__(
        self,
        mode: Mode = "offline",
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
    ):
        if mode not in ("offline", "online"):
            raise CcsError(f"tracker.mode={mode} is not known. Choose offline or online, or no tracker with tracker=none.")
        if isinstance(tags, str):
            raise CcsError(f"tracker.tags={tags}: tags are a list, as in 'tracker.tags=[{tags}]'.")
        _check_names(project, entity, group, tags or ())
        self.mode: Mode = mode
        self.project, self.entity, self.group, self.tags = project, entity, group, tuple(tags or ())

    def track(self, run_dir: Path, key: str | None = None) -> str | None:
        """Mirror a finished run. The run's id is `key`, by default the configuration's hash in ``summary.json``.

        A record appears whole, and takes the place of those of the same id in the folder and in the folders of the same sweep. Under an
        agent of a W&B sweep, the agent names the run.
        """
        # unless told otherwise, W&B reports its own errors to its makers, which takes the network offline too
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # it advertises itself where a language model was asked
        folder, summary = RunFolder(run_dir), read_summary(run_dir)
        description = self._description(summary, key)
        try:
            if self.mode == "online":
                try:
                    _send(_write(folder, summary, description, with_artifacts=True))
                    return "online"
                except Exception as error:  # as below; a record without artifacts asks less
                    log.warning("W&B online is not used: %s. The run is recorded offline, in %s/wandb.", reason(error), folder.path)
            _write(folder, summary, description, with_artifacts=False)
        except Exception as error:  # whatever W&B raises: the results are safe, and the job has succeeded
            log.warning(
                "W&B has no record of this run: %s. All results are in %s, of which `ccs-exp dashboard upload` makes it.",
                *(reason(error), folder.path),
            )
            return None
        return "offline"

    def _description(self, summary: Summary, key: str | None) -> dict[str, Any]:
        """What `wandb.init` is told of a run. Whose project it is, its folder does not decide."""
        asked = summary["asked"]
        own, sweep = keys.group(asked, "tracker"), (asked and asked["sweep"]) or None
        return {
            "id": _agents_run() or re.sub(r"[^A-Za-z0-9_.-]", "-", key or summary["config_hash"])[:64],
            "name": keys.run_name(summary),
            "project": self.project or own.get("project") or _PROJECT,
            "entity": self.entity,
            "group": self.group or own.get("group") or (sweep and sweep[: keys.LONGEST]),
            "job_type": keys.cell(summary)["strategy"],
            "tags": keys.tags(summary, (*self.tags, *(own.get("tags") or ()))),
            "config": without_secrets(content.config(summary)),
        }


def _write(folder: RunFolder, summary: Summary, description: dict[str, Any], with_artifacts: bool) -> Path:
    """Make the run's record, without any network. Artifacts are named by absolute path, so that such a record is for sending at once."""
    import wandb

    with place_aside(folder.path) as aside:
        run, code = None, 1
        try:
            run = wandb.init(mode="offline", dir=aside, settings=_settings(wandb), save_code=False, **description)
            run.log(content.numbers(folder, summary) | content.media(wandb, run, folder))
            run.summary.update({name: summary[name] for name in ("warnings", "skipped", "unjudged")})
            for artifact in artifacts(wandb, folder, description["id"]) if with_artifacts else ():
                run.log_artifact(artifact)
            code = 0
        finally:
            if run is not None:
                run.finish(exit_code=code)
            if wandb.run is None:  # otherwise the caller has a run of their own, which this would end
                wandb.teardown()  # finish() returns before the record is on disk
        for log_file in aside.rglob("*.wandb"):
            begin_earlier(log_file, (summary["ran"] and summary["ran"]["seconds"]) or 0.0)
        return take_place(aside, folder.path, description["id"])


def _check_names(project: str | None, entity: str | None, group: str | None, tags: Sequence[object]) -> None:
    """Raise `CcsError` for what W&B would refuse once the job is over."""
    for key, name in {"project": project, "entity": entity, "group": group}.items():
        if name is not None and (not name.strip() or len(name) > keys.LONGEST):
            raise CcsError(f"tracker.{key}={name[:40]!r} has {len(name)} characters: give 1 to {keys.LONGEST}, not spaces alone, or null.")
        if name is not None and key != "group" and (wrong := set(name) & _NOT_IN_NAMES):
            raise CcsError(f"tracker.{key}={name}: W&B has no {key} with {' '.join(sorted(wrong))} in its name. Leave it out.")
    for tag in map(str, tags):
        if not 1 <= len(tag) <= keys.LONGEST_TAG:
            raise CcsError(f"tracker.tags: {tag[:40]!r} has {len(tag)} characters. A tag has 1 to {keys.LONGEST_TAG}.")


def _send(record: Path) -> None:
    """Upload a record. Raises whatever W&B raises where that cannot be."""
    import wandb

    if (asked := os.environ.get("WANDB_MODE")) in _WITHOUT_NETWORK:
        raise ConnectionError(f"WANDB_MODE={asked} is set")
    with own_places(record.parent / ".sending"):
        if wandb.run is None:
            wandb.setup(settings=_settings(wandb))
            logged_in = wandb.login(prompt=False, verify=False)  # never asks: it would hold up a job that nobody watches
            wandb.teardown()
            if not logged_in:
                raise ConnectionError("there is no login; run `wandb login`, or set WANDB_API_KEY")
        command = [sys.executable, "-P", "-m", "wandb", "sync", str(record)]  # not from the working folder
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_UPLOAD_SECONDS, check=False)
    if not list(record.glob("*.synced")):
        raise ConnectionError(f"`wandb sync` did not end well: {done.stderr.strip()[-500:]}")


def reason(error: Exception) -> str:
    """What went wrong, in one line, without secrets."""
    return hide_secrets(" ".join(str(error).split())) or type(error).__name__


def _settings(wandb: Any) -> wandb.Settings:
    """Quiet, and without what W&B would gather by itself: code, git remote, packages, the machine and its name."""
    return wandb.Settings(
        silent=True,
        console="off",
        show_errors=False,
        show_warnings=False,
        show_info=False,
        disable_code=True,
        disable_git=True,
        host="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        symlink=False,
        use_dot_wandb=False,
        reinit="create_new",
    )


def _agents_run() -> str | None:
    """The id that an agent of a W&B sweep has given this process's run, so that the sweep finds it."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
