"""Which settings decide what a job finds. The others say where to, how fast, or something that this job does not come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

NEVER = ("tracker", "num_workers", "pixel_cache", "plan", "trainer")  # and what stands in them
# without effect beside some other choices
SOMETIMES = ("seed", "stack_size", "prune.match_seeds", "robustness.seed", "resample.donors", "resample.seeds", "atlas_thumbnails")
_NEVER_OF_REPLIES = (
    *("concurrency", "attempts", "timeout_s", "poll_s", "batch", "thinking_tokens"),
    *("price", "max_cost_usd", "kept_only", "replies"),
)
_FREE_JUDGES, _FREE_DRAWS = ("taxonomy", "embedding"), 10


def decisive_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A job's configuration, as plain data, without what cannot change its result: jobs that are equal in it find the same."""
    left_out = {*NEVER, *without_effect(config)}
    found = {
        group: {key: value for key, value in node.items() if f"{group}.{key}" not in left_out} if isinstance(node, Mapping) else node
        for group, node in config.items()
        if group not in left_out
    }
    return found | {part: decisive_of_replies(found.get(part) or {}) for part in ("labeler", "judge")}


def decisive_of_replies(part: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a labeler or judge, and of its members, that can change what it says."""
    return {
        key: decisive_of_replies(value) if isinstance(value, Mapping) else value
        for key, value in part.items()
        if key not in _NEVER_OF_REPLIES
    }


def shuffled_draws(config: Mapping[str, Any] | DictConfig) -> int:
    """Under how many other heads' labels each head is judged: as asked; where nothing is asked, by judges that cost nothing."""
    asked = config["robustness"]["shuffled_labels"]
    if asked is not None:
        return int(asked)
    return _FREE_DRAWS if config["ccs"]["name"] == "computed" and config["judge"].get("name") in _FREE_JUDGES else 0


def without_effect(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings that the other choices of this configuration leave without effect, and why."""
    model, prune, robustness = config["model"], config["prune"], config["robustness"]
    reasons: dict[str, str | None] = {
        "seed": None if model["weights"] is None and model["pretrained"] is None else "it draws random weights, and these are given",
        "stack_size": None if config["engine"] == "shared" else "engine=plain stacks nothing",
        "prune.match_seeds": None if prune["match_count"] else "no classes are matched without prune.match_count",
        "robustness.seed": None
        if robustness["relabel_draws"] or shuffled_draws(config)
        else "no labels are drawn without robustness.relabel_draws or robustness.shuffled_labels",
    }
    if config["ablation"] != "resample":
        reasons |= dict.fromkeys(("resample.donors", "resample.seeds"), f"ablation={config['ablation']} resamples nothing")
    if not config["atlas"]:
        reasons["atlas_thumbnails"] = "no pages are made without atlas=true"
    return {key: reason for key, reason in reasons.items() if reason}
