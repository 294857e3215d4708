"""The keys of what is kept: all that a stage's result depends on, written out. Nothing here needs torch.

A stage's key holds the settings that it reads, the files behind them, and the versions of the libraries that compute; never what
only decides how fast or where to. `RESULTS` stands for this package's own code.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ccs_exp.config.schema import config_dir
from ccs_exp.config.services import load_service, without_user
from ccs_exp.files import ASSETS
from ccs_exp.store import file_sha256, files_state, read_entry, write_entry
from ccs_exp.store.states import folder_content

RESULTS = 1  # to be raised with every change of this package after which a stage gives other results

# What a job computes does not depend on these.
WITHOUT_EFFECT = ("tracker", "num_workers", "pixel_cache", "plan", "trainer")
_WITHOUT_EFFECT_ON_REPLIES = (
    *("concurrency", "attempts", "timeout_s", "poll_s", "batch", "thinking_tokens"),
    *("price", "max_cost_usd", "kept_only", "replies"),
)
# Settings that can name a file or a folder.
_NAME_FILES = frozenset({"path", "class_names", "weights", "map", "directory", "replies", "prompt", "model"})

Key = dict[str, Any]


def decisive(part: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a labeler or judge, and of its members, that can change what it says."""
    return {
        key: decisive(value) if isinstance(value, Mapping) else value
        for key, value in part.items()
        if key not in _WITHOUT_EFFECT_ON_REPLIES
    }


def weights_file(cfg: DictConfig) -> Path | None:
    """The local file that the model's weights come from, where the configuration names one."""
    named = cfg.model.weights
    if named is None:
        return None
    return ASSETS / named.removeprefix("bundled:") if named.startswith("bundled:") else Path(named).expanduser()


def known_weights(cfg: DictConfig) -> str | None:
    """What identifies the weights: a file's SHA-256, or the seed of random ones.

    None where it is not known without loading them: no job has opened the checkpoint of that tag here, or its file is not there any
    more as it was.
    """
    path = weights_file(cfg)
    if path is not None:
        return file_sha256(path) if path.is_file() else None
    if cfg.model.pretrained is None:
        return random_weights(cfg)
    members = read_entry("weights", _tag(cfg))
    if members is None:
        return None
    remembered = json.loads(members["file"])
    path = Path(remembered["path"])
    return remembered["sha256"] if path.is_file() and file_sha256(path) == remembered["sha256"] else None


def random_weights(cfg: DictConfig) -> str:
    return f"random, seed {cfg.seed}"


def remember_weights(cfg: DictConfig, path: Path, sha256: str) -> None:
    """Where the checkpoint of the model's tag lies, for `known_weights` of later jobs."""
    found = {"path": str(path), "sha256": sha256}
    members = read_entry("weights", _tag(cfg))
    if members is None or json.loads(members["file"]) != found:
        write_entry("weights", _tag(cfg), {"file": json.dumps(found).encode()})


def _tag(cfg: DictConfig) -> Key:
    return {"name": cfg.model.name, "pretrained": cfg.model.pretrained, "open_clip": _versions("open_clip_torch")}


def model_key(cfg: DictConfig, weights: str) -> Key:
    """The model as it computes: its weights are `weights`; activation and preprocessing follow from name, tag and open_clip."""
    architecture = cfg.model.architecture
    return {
        "name": cfg.model.name,
        "pretrained": cfg.model.pretrained,
        "architecture": file_sha256(ASSETS / architecture) if architecture else None,
        "preprocess": OmegaConf.to_container(cfg.model.preprocess, resolve=True),
        "weights": weights,
    }


def compute_key(cfg: DictConfig, device: str) -> Key:
    """How numbers are computed; single precision depends on the shape of a batch."""
    return {
        "device": device,
        "precision": str(cfg.precision),
        "batch_size": cfg.batch_size,
        "libraries": _versions("torch", "torchvision", "open_clip_torch", "pillow", "numpy", "av"),
        "results": RESULTS,
    }


def images_key(cfg: DictConfig, node: DictConfig) -> Key:
    """The samples of a probe or data set: how they are opened, and the state of the files that this names."""
    source = OmegaConf.to_container(node.source, resolve=True)
    return {
        "source": source,
        "files": files_named_in(source),
        "on_error": cfg.on_error,
        "assets": folder_content(ASSETS / "classes"),
    }


def moments_key(cfg: DictConfig, weights: str, device: str) -> Key:
    return {"model": model_key(cfg, weights), "compute": compute_key(cfg, device), "probe": images_key(cfg, cfg.probe)}


def descriptions_key(moments: Key, textspan: str, pool_sha256: str) -> Key:
    return {"moments": moments, "textspan": textspan, "pool": pool_sha256}


def donors_key(cfg: DictConfig, weights: str, device: str) -> Key:
    return moments_key(cfg, weights, device) | {"donors": cfg.resample.donors}


def ablation_key(cfg: DictConfig, weights: str, device: str) -> Key:
    """What silenced heads give: nothing that the probe decides, their means over it, or outputs of its images."""
    found: Key = {"kind": cfg.ablation}
    if cfg.ablation == "resample":
        found |= {"donors": donors_key(cfg, weights, device), "seeds": list(cfg.resample.seeds)}
    elif cfg.ablation != "zero":
        found |= {"means": moments_key(cfg, weights, device)}
    return found


def scores_key(cfg: DictConfig, descriptions: list[Any]) -> Key:
    """Labels and verdicts of given descriptions; `descriptions` as JSON."""
    return {
        "descriptions": descriptions,
        "thresholds": [cfg.ccs.high, cfg.ccs.low],
        "results": RESULTS,
        **_scorers(cfg),
    }


def evaluation_key(cfg: DictConfig, weights: str, device: str) -> Key:
    """An evaluation under any heads: what all conditions share. With a stack above one, company can shift the last bits."""
    task = ("name", "task", "tasks", "limit", "frames", "templates")
    return {
        "model": model_key(cfg, weights),
        "compute": compute_key(cfg, device) | {"engine": cfg.engine, "stack_size": cfg.stack_size},
        "dataset": images_key(cfg, cfg.dataset) | {name: _plain(cfg.dataset[name]) for name in task},
        "protocol": cfg.protocol,
        "ablation": ablation_key(cfg, weights, device),
    }


def cell_key(cfg: DictConfig, asked: Collection[str]) -> Key | None:
    """A whole job: its configuration and everything behind it. None where the weights are not known yet.

    `asked`: the keys on the command line, of which some decide what is done with given descriptions.
    """
    weights = known_weights(cfg)
    if weights is None:
        return None
    config = _plain(cfg)
    effective = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    return {
        "config": effective | {part: decisive(effective[part]) for part in ("labeler", "judge")},
        "files": files_named_in({key: value for key, value in effective.items() if key != "model"}),
        "model": model_key(cfg, weights),
        "compute": compute_key(cfg, device_type(cfg.device)),
        "scorers": _scorers(cfg),
        "asked": sorted({"model", "dataset"} & set(asked)) if cfg.spans.name == "file" else None,
        "assets": {name: _asset(name) for name in ("classes", "concepts.yaml", "published_heads.json")},
    }


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
    states = {name: files_state(Path(name).expanduser()) for name in set(_names(node))}
    return {name: state for name, state in sorted(states.items()) if state is not None}


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _NAME_FILES and isinstance(value, str) and value:
                yield value
            yield from _names(value)
    elif isinstance(node, list):
        for item in node:
            yield from _names(item)


def _scorers(cfg: DictConfig) -> Key:
    """Labeler and judge: their settings, prompts, taxonomy and concept words, and where services are."""
    parts = {part: _plain(cfg[part]) for part in ("labeler", "judge")}
    return {
        **{part: decisive(node) for part, node in parts.items()},
        "files": files_named_in(parts),
        "services": sorted(set(_addresses(parts))),
        "taxonomy": folder_content(ASSETS / "taxonomy"),
        "prompts": folder_content(Path(config_dir()) / "prompts"),
        "libraries": _versions("sentence-transformers"),
    }


def _addresses(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("service"), str):
            yield without_user(load_service(Path(config_dir()), node["service"]).address(node.get("base_url")))
        for value in node.values():
            yield from _addresses(value)
    elif isinstance(node, list):
        for item in node:
            yield from _addresses(item)


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an optional one
    return found


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _asset(name: str) -> str:
    path = ASSETS / name
    return folder_content(path) if path.is_dir() else file_sha256(path)
