"""Whether a composed configuration can work, told before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ccs_exp.compute.processes import check_processes
from ccs_exp.config.place import config_dir
from ccs_exp.config.plain import plain
from ccs_exp.config.services import check_parts
from ccs_exp.config.settings import check_built, check_settings
from ccs_exp.errors import CcsError
from ccs_exp.heads import HIGH_FROM, LOW_TO, check_thresholds

_PREPROCESSING = "open_clip.transform.PreprocessCfg"
_NEED_A_PATH = {"dataset": "folder", "probe": "folder", "pool": "file", "spans": "file", "ccs": "file"}
_ALSO_NEED_A_PATH = ("msrvtt", "msvd", "didemo", "videos", "table")
_LEAST = {"batch_size": 1, "stack_size": 1, "dataset.limit": 1, "dataset.frames": 1, "dataset.top_k": 1, "probe.num_images": 1}
_LEAST |= dict.fromkeys(("robustness.relabel_draws", "robustness.shuffled_labels", "num_workers"), 0)
_LEAST |= dict.fromkeys(("robustness.seed", "evidence.seed", "seed"), 0)
_LEAST_SEEDS, _MOST_DONORS = 5, 256
_VALUES = {
    "textspan": ("direct", "reference"),
    "ablation": ("zero", "mean", "resample", "direct"),
    "engine": ("shared", "plain"),
    "on_error": ("raise", "skip"),
    "protocol": ("standard", "paper"),
    "dataset.task": ("classification", "retrieval", "skew"),
    "dataset.frame_order": ("as_filmed", "shuffled"),
    "device": ("auto", "cpu", "gpu", "cuda", "mps"),
    "precision": ("32", "16-mixed", "bf16-mixed", "16", "bf16", "64"),
    "prune.match_count": (None, "min"),
}


def check(cfg: DictConfig) -> None:
    """Raise `CcsError` for settings, values and combinations that cannot work, before anything is loaded."""
    _check_needed(cfg)
    check_settings(cfg)
    check_built({**plain(cfg.model.preprocess), "_target_": _PREPROCESSING}, "model.preprocess")
    _check_values(cfg)
    _check_scores(cfg)
    _check_strategies(cfg.prune)
    _check_resample(cfg.resample)
    _check_evidence(cfg)
    _check_local_copy(cfg)
    _check_templates(cfg)
    check_processes(cfg.trainer.devices, cfg.trainer.num_nodes)
    check_parts(Path(config_dir()), {part: cfg[part] for part in ("labeler", "judge")})


def _check_values(cfg: DictConfig) -> None:
    for key, allowed in _VALUES.items():
        value = OmegaConf.select(cfg, key)
        if value not in allowed:
            choices = ", ".join("null" if choice is None else str(choice) for choice in allowed)
            raise CcsError(f"{key}={value} is not known. Choose one of: {choices}.")
    for key, least in _LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and value < least:
            raise CcsError(f"{key}={value}: give a number of at least {least}.")


def _check_needed(cfg: DictConfig) -> None:
    missing = sorted(OmegaConf.missing_keys(cfg))
    missing += [f"{group}.path" for group, name in _NEED_A_PATH.items() if cfg[group].name == name and not cfg[group].path]
    missing += ["dataset.frames"] if cfg.dataset.task == "retrieval" and cfg.dataset.frames is None else []
    missing += ["dataset.path"] if cfg.dataset.name in _ALSO_NEED_A_PATH and not cfg.dataset.path else []
    missing += ["dataset.id"] if "id" in cfg.dataset.source and not cfg.dataset.id else []
    if missing:
        layout = (
            f" dataset.path is a folder with: {cfg.dataset.layout}" if cfg.dataset.layout and "dataset.path" in missing else ""
        )
        if layout and cfg.data_dir:
            layout = f" data_dir={cfg.data_dir} has no folder {cfg.dataset.name}.{layout}"
        raise CcsError(f"Still needed: {', '.join(f'{key}=...' for key in missing)}. Add it to the command line.{layout}")
    for group, name in _NEED_A_PATH.items():
        used = "path" in cfg[group].source if group in ("dataset", "probe") else cfg[group].name == name
        if cfg[group].path and not used:
            raise CcsError(f"{group}.path={cfg[group].path} is not used by {group}={cfg[group].name}. Add {group}={name}.")


def _check_scores(cfg: DictConfig) -> None:
    if cfg.spans.name == "file" and cfg.ccs.name != "computed":
        raise CcsError(f"spans=file and ccs={cfg.ccs.name} both say where the scores come from. Choose one of them.")
    if cfg.ccs.name == "published" and (cfg.ccs.high, cfg.ccs.low) != (HIGH_FROM, LOW_TO):
        raise CcsError("ccs=published knows the authors' classes, not every CCS, so ccs.high and ccs.low cannot change them.")
    check_thresholds(cfg.ccs.high, cfg.ccs.low)
    if cfg.labeler.name == "given" and cfg.spans.name != "file":
        raise CcsError("labeler=given takes the labels from a spans file: add spans=file spans.path=FILE.")
    if cfg.robustness.relabel_draws and cfg.labeler.name == "given":
        raise CcsError("robustness.relabel_draws names the concepts again, which labeler=given cannot. Choose another labeler.")
    if (cfg.robustness.relabel_draws or cfg.robustness.shuffled_labels) and cfg.ccs.name != "computed":
        raise CcsError(
            f"robustness.* judges descriptions again, but ccs={cfg.ccs.name} takes scores as they are. For the descriptions of an "
            "earlier run: spans=file spans.path=RUN/heads.csv, with labeler=given for its labels."
        )


def _check_strategies(prune: DictConfig) -> None:
    for name in map(str, prune):
        node = prune[name]
        if isinstance(node, DictConfig) and "_target_" not in node and not all(_is_built(part) for part in node.values()):
            raise CcsError(f"prune.{name} is set, but {name} is not chosen. Choose it, as in 'prune=[high_ccs,{name}]'.")
    if prune.match_count and (not prune.match_seeds or min(prune.match_seeds) < 0 or len(set(prune.match_seeds)) < len(prune.match_seeds)):
        raise CcsError(f"prune.match_seeds={list(prune.match_seeds)}: give at least one number of at least 0, each once.")


def _is_built(node: object) -> bool:
    return isinstance(node, DictConfig) and "_target_" in node


def _check_resample(resample: DictConfig) -> None:
    seeds = list(resample.seeds)
    if len(set(seeds)) != len(seeds) or len(seeds) < _LEAST_SEEDS or min(seeds) < 0:
        raise CcsError(
            f"resample.seeds={seeds}: give at least {_LEAST_SEEDS} seeds of at least 0, each once, so that their spread can be told."
        )
    if not 2 <= resample.donors <= _MOST_DONORS:
        raise CcsError(f"resample.donors={resample.donors}: give a number from 2 to {_MOST_DONORS}.")


def _check_evidence(cfg: DictConfig) -> None:
    if cfg.evidence.split and "cost" not in cfg.prune.curve.get("orders", ()):
        raise CcsError(
            "evidence.split=true is about an order by cost, which is chosen on one half and measured on the other. Add "
            "prune=curve 'prune.curve.orders=[cost,random]', or leave it out."
        )
    again = [name for name in ("stability", "other_probe") if cfg.evidence[name]]
    if again and (cfg.ccs.name != "computed" or cfg.spans.name != "computed"):
        raise CcsError(
            f"evidence.{again[0]} describes and scores heads anew from other images, which only ccs=computed spans=computed do. "
            "Leave it out, or let the scores be computed."
        )
    other, tests = cfg.evidence.other_probe, cfg.evidence.concept_tests
    if other is not None:
        if not isinstance(other, DictConfig):
            example = "'evidence.other_probe={seed: 4}'"
            raise CcsError(f"evidence.other_probe={other}: give what differs of probe.source, as in {example}, or null.")
        check_built(({} if "_target_" in other else plain(cfg.probe.source)) | plain(other), "evidence.other_probe")
    if tests and not Path(tests).expanduser().is_file():
        raise CcsError(f"evidence.concept_tests={tests}: there is no such file. Give a CSV file with the columns concept,dataset,task.")


def _check_local_copy(cfg: DictConfig) -> None:
    if cfg.dataset.top_k and cfg.dataset.task != "skew":
        raise CcsError(f"dataset.top_k={cfg.dataset.top_k} is of dataset.task=skew, as dataset=fairface has it. Leave it out.")
    for key in ("partial", "streaming", "class_names", "occupations", "id", "revision", "split", "image_column", "label_column"):
        if cfg.dataset[key] and key not in cfg.dataset.source:
            value = "true" if cfg.dataset[key] is True else cfg.dataset[key]
            raise CcsError(f"dataset.{key}={value} is not used by dataset={cfg.dataset.name}. Leave it out.")
    if cfg.dataset.frame_order != "as_filmed" and cfg.dataset.task != "retrieval":
        raise CcsError(f"dataset.frame_order={cfg.dataset.frame_order} is about videos; dataset={cfg.dataset.name} has none. Leave it out.")
    if cfg.dataset.streaming and cfg.pixel_cache:
        raise CcsError("dataset.streaming=true keeps no copy, pixel_cache=true keeps one of every image. Choose one of them.")
    if cfg.dataset.partial and not cfg.dataset.path:
        raise CcsError("dataset.partial=true is about a local copy: add dataset.path=DIR, or leave it out.")
    if cfg.dataset.streaming and cfg.num_workers:
        raise CcsError(f"dataset.streaming=true reads in one process, so num_workers={cfg.num_workers} cannot be. Leave it out.")
    if cfg.dataset.partial and cfg.dataset.streaming:
        raise CcsError(
            "dataset.partial=true and dataset.streaming=true exclude each other: a stream's length is not known before."
        )


def _check_templates(cfg: DictConfig) -> None:
    if cfg.dataset.name == "none" or cfg.dataset.task == "retrieval":
        return
    dataset = plain(cfg.dataset)
    of_tasks = {f"tasks.{name}": templates for name, templates in dataset["tasks"].items()}
    for key, templates in {"templates": dataset["templates"], **of_tasks}.items():
        is_list = isinstance(templates, list) and all(isinstance(template, str) for template in templates)
        of_collection = not templates and dataset["source"].get("own_templates")
        bad = [template for template in templates if "{}" not in template] if is_list else []
        if bad or not is_list or not (templates or of_tasks or of_collection):
            what = f"the template {bad[0]!r} has no {{}} where the class name belongs" if bad else "there is no template"
            example = f"'dataset.{key}=[\"a photo of a {{}}.\"]'"
            raise CcsError(f"dataset.{key}: {what}. Give templates as in {example}.")
