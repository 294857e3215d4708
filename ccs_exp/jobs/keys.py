"""The keys of what is kept: all that a stage's result depends on, written out. Nothing here needs torch.

A stage's key holds the settings that it reads, the files behind them, and the code that it reaches (`ccs_exp.store.code_of`) from its
entry points and from what the configuration names as ``_target_``; never what only decides how fast or where to.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ccs_exp.config.plain import plain
from ccs_exp.config.schema import config_dir
from ccs_exp.config.services import load_service, without_user
from ccs_exp.files import ASSETS
from ccs_exp.jobs.decisive import decisive_of_replies, decisive_settings
from ccs_exp.jobs.weights import known_weights
from ccs_exp.store import code_of, file_sha256, files_state
from ccs_exp.store.states import folder_content

# Settings that can name a file or a folder.
_NAME_FILES = frozenset(
    {"path", "class_names", "occupations", "weights", "map", "directory", "replies", "prompt", "examples", "model"}
)

_COMMIT = re.compile(r"[0-9a-f]{7,40}")

Key = dict[str, Any]


def moments_key(cfg: DictConfig, weights: str, device: str) -> Key:
    return {
        "model": model_key(cfg, weights),
        "compute": compute_key(cfg, device),
        "probe": images_key(cfg, cfg.probe),
        "code": code_of("ccs_exp.jobs.encode", "ccs_exp.scoring.decompose", *targets(plain(cfg.probe))),
    }


def descriptions_key(moments: Mapping[str, Any], textspan: str, pool_sha256: str) -> Key:
    return {"moments": moments, "textspan": textspan, "pool": pool_sha256, "code": code_of("ccs_exp.scoring.describe")}


def donors_key(cfg: DictConfig, weights: str, device: str) -> Key:
    moments = moments_key(cfg, weights, device)
    code = code_of(*moments["code"]["entry_points"], "ccs_exp.scoring.donors")
    return moments | {"donors": cfg.resample.donors, "code": code}


def probe_key(cfg: DictConfig, weights: str, device: str) -> Key:
    """What ``ablation`` gathers from the probe: outputs of its images, or their sums."""
    return (donors_key if cfg.ablation == "resample" else moments_key)(cfg, weights, device)


def ablation_key(cfg: DictConfig, weights: str, device: str) -> Key:
    """What silenced heads give: nothing that the probe decides, their means over it, or outputs of its images."""
    found: Key = {"kind": cfg.ablation}
    found |= {"probe": probe_key(cfg, weights, device)} if cfg.ablation != "zero" else {}
    return found | ({"seeds": list(cfg.resample.seeds)} if cfg.ablation == "resample" else {})


def scores_key(cfg: DictConfig, descriptions: list[Any]) -> Key:
    """Labels and verdicts of given descriptions; `descriptions` as JSON."""
    parts = [plain(cfg[part]) for part in ("labeler", "judge")]
    return {
        "descriptions": descriptions,
        "thresholds": [cfg.ccs.high, cfg.ccs.low],
        **_scorers(cfg),
        "code": code_of("ccs_exp.scoring.ccs", *targets(parts)),
    }


def evaluation_key(cfg: DictConfig, weights: str, device: str) -> Key:
    """An evaluation under any heads: what all conditions share. With a stack above one, company can shift the last bits."""
    dataset = plain(cfg.dataset)
    return {
        "model": model_key(cfg, weights),
        "compute": compute_key(cfg, device) | {"engine": cfg.engine, "stack_size": cfg.stack_size},
        "dataset": images_key(cfg, cfg.dataset)
        | {name: dataset[name] for name in ("name", "task", "tasks", "limit", "frames", "frame_order", "templates", "top_k")},
        "protocol": cfg.protocol,
        "ablation": ablation_key(cfg, weights, device),
        "code": code_of("ccs_exp.jobs.evaluate_stage", "ccs_exp.jobs.ablation", "ccs_exp.tasks.kept", *targets(dataset)),
    }


def cell_key(cfg: DictConfig, asked: Collection[str]) -> Key | None:
    """A whole job: its configuration and everything behind it. None where the weights are not known yet.

    `asked`: the keys on the command line, of which some decide what is done with given descriptions.
    """
    weights = known_weights(cfg)
    if weights is None:
        return None
    config = decisive_settings(plain(cfg))
    return {
        "config": config,
        "files": files_named_in({key: value for key, value in config.items() if key != "model"}),
        "model": model_key(cfg, weights),
        "compute": compute_key(cfg, device_type(cfg.device)),
        "scorers": _scorers(cfg),
        "asked": sorted({"model", "dataset"} & set(asked)) if cfg.spans.name == "file" else None,
        "assets": folder_content(ASSETS),
        "code": code_of("ccs_exp.jobs.experiment", *targets(plain(cfg))),
        **branches_named_in([config["dataset"].get("source"), config["probe"].get("source")]),
    }


def model_key(cfg: DictConfig, weights: str) -> Key:
    """The model as it computes: its weights are `weights`; activation and preprocessing follow from name, tag and open_clip."""
    architecture = cfg.model.architecture
    return {
        "name": cfg.model.name,
        "pretrained": cfg.model.pretrained,
        "repository": cfg.model.repository,
        "architecture": file_sha256(ASSETS / architecture) if architecture else None,
        "preprocess": plain(cfg.model.preprocess),
        "weights": weights,
    }


def compute_key(cfg: DictConfig, device: str) -> Key:
    """How numbers are computed; single precision depends on the shape of a batch."""
    return {"device": device, "precision": str(cfg.precision), "batch_size": cfg.batch_size}


def images_key(cfg: DictConfig, node: DictConfig) -> Key:
    """The samples of a probe or data set: how they are opened, and the state of the files that this names."""
    source = plain(node.source)
    return {
        "source": source,
        "files": files_named_in(source),
        "on_error": cfg.on_error,
        "assets": folder_content(ASSETS / "classes"),
        **branches_named_in(source),
    }


def branches_named_in(node: Any) -> Key:
    """The commits that branches of the hub, which move, stand for in its cache; nothing where all is named by commit."""
    found = {}
    for part in _mappings(node):
        repository, revision = part.get("repository") or part.get("id"), part.get("revision")
        if repository and isinstance(revision, str) and not _COMMIT.fullmatch(revision):
            # late: few jobs name a branch, and the hub's client takes a while to import
            from ccs_exp.files.hub import Wanted, commit_here

            found[f"{repository}@{revision}"] = commit_here(Wanted(str(repository), "dataset", revision, ()))
    return {"branches": found} if found else {}


def device_type(device: str) -> str:
    """The kind of device that `device` stands for on this machine, told without torch: `cpu`, `cuda` or `mps`."""
    if device not in ("auto", "gpu"):
        return device
    if sys.platform == "darwin":
        return "mps"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    has_gpu = Path("/dev/kfd").exists() or any(Path("/dev").glob("nvidia[0-9]*"))
    return "cuda" if has_gpu and not hidden else "cpu"


def files_named_in(node: Any) -> dict[str, str]:
    """The state of every file and folder that the settings name; relative paths count from here."""
    names = {value for key, value in _settings(node) if key in _NAME_FILES and isinstance(value, str) and value}
    states = {name: files_state(Path(name).expanduser()) for name in names}
    return {name: state for name, state in sorted(states.items()) if state is not None}


def _scorers(cfg: DictConfig) -> Key:
    """Labeler and judge: their settings, prompts, taxonomy and concept words, and where services are."""
    parts = {part: plain(cfg[part]) for part in ("labeler", "judge")}
    return {
        **{part: decisive_of_replies(node) for part, node in parts.items()},
        "files": files_named_in(parts),
        "services": sorted(set(_addresses(parts))),
        "taxonomy": folder_content(ASSETS / "taxonomy"),
        "prompts": folder_content(Path(config_dir()) / "prompts"),
    }


def _addresses(node: Any) -> Iterator[str]:
    for part in _mappings(node):
        if isinstance(part.get("service"), str):
            yield without_user(load_service(Path(config_dir()), part["service"]).address(part.get("base_url")))


def targets(node: Any) -> Iterator[str]:
    """What the configuration builds, by its place in the code."""
    return (value for key, value in _settings(node) if key == "_target_" and isinstance(value, str))


def _settings(node: Any) -> Iterator[tuple[str, Any]]:
    return (setting for part in _mappings(node) for setting in part.items())


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in `node`, the outer ones first."""
    if isinstance(node, Mapping):
        yield node
    if isinstance(node, Mapping | list):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from _mappings(value)
