"""The configuration: its typed schema, where its files lie, and the checks that need more than one choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from ccs_exp.compute.processes import check_processes
from ccs_exp.config.services import check_parts, usual_settings
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_lines


@dataclass
class ModelConfig:
    name: str = MISSING  # open_clip's architecture
    pretrained: str | None = MISSING  # open_clip's tag; null: random weights
    variant: str | None = None  # what results call the model; null: <name>/<pretrained>
    weights: str | None = None  # a local checkpoint
    architecture: str | None = None  # a configuration in the package, where open_clip does not know the name
    preprocess: dict[str, Any] = field(default_factory=dict)


@dataclass
class DatasetConfig:
    name: str = MISSING
    path: str | None = None
    limit: int | None = None
    partial: bool = False  # a local copy may lack images, videos and classes
    streaming: bool = False  # read the hub's files as they come
    class_names: str | None = None  # of a folder of classes: a CSV file folder,name; null: by the folders' names
    protocols: dict[str, Any] = field(default_factory=dict)  # what differs between protocols, where anything does
    task: str = "classification"
    frames: int | None = None  # of a video
    layout: str | None = None  # what dataset.path must hold
    source: dict[str, Any] = field(default_factory=dict)
    templates: list[str] = field(default_factory=list)
    tasks: dict[str, Any] = field(default_factory=dict)  # templates of each label column, where images have several


@dataclass
class ProbeConfig:
    name: str = MISSING
    path: str | None = None
    num_images: int | None = None
    source: dict[str, Any] = field(default_factory=dict)


@dataclass
class PoolConfig:
    name: str = MISSING
    path: str | None = None
    parts: list[str] | None = None  # of the taxonomy; null: all


@dataclass
class SpansConfig:
    name: str = MISSING
    path: str | None = None


@dataclass
class CcsConfig:
    name: str = MISSING
    path: str | None = None
    high: int = 5  # CCS from here on is high
    low: int = 1  # CCS up to here is low


@dataclass
class PruneConfig:
    """A strategy that is not chosen is an empty mapping, so that overriding its keys is an error that says so."""

    match_count: str | None = None  # min: high, low and random get the smaller class's number of heads
    match_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    high_ccs: dict[str, Any] = field(default_factory=dict)
    low_ccs: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)
    concept: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Any] = field(default_factory=dict)
    each_head: dict[str, Any] = field(default_factory=dict)
    matched: dict[str, Any] = field(default_factory=dict)
    curve: dict[str, Any] = field(default_factory=dict)

    STRATEGIES = ("high_ccs", "low_ccs", "random", "concept", "heads", "each_head", "matched", "curve")


@dataclass
class ResampleConfig:
    """Of ``ablation=resample``."""

    donors: int = 256  # images of the probe, at most
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])  # of which sample has which donor


@dataclass
class RobustnessConfig:
    """Beyond the scores: how often heads are labelled again, and judged under other heads' labels."""

    relabel_draws: int = 0
    shuffled_labels: int = 0
    seed: int = 0


@dataclass
class TrainerConfig:
    devices: Any = 1  # of each node; auto: all GPUs
    num_nodes: int = 1


@dataclass
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    spans: SpansConfig = field(default_factory=SpansConfig)
    ccs: CcsConfig = field(default_factory=CcsConfig)
    prune: PruneConfig = field(default_factory=PruneConfig)
    labeler: dict[str, Any] = field(default_factory=dict)
    judge: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    textspan: str = "direct"
    ablation: str = "zero"
    resample: ResampleConfig = field(default_factory=ResampleConfig)
    engine: str = "shared"
    batch_size: int = 64
    stack_size: int = 1
    num_workers: int | None = None
    pixel_cache: bool = False
    data_dir: str | None = None
    on_error: str = "raise"
    protocol: str = "standard"
    device: str = "auto"
    precision: str = "32"
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    plan: bool = False


def register() -> None:
    """Make the schema known to Hydra, as ``schema``, ``${prompt_templates:NAME}``, the lines of ``assets/templates/NAME.txt``,
    ``${copy_in:DIR,NAME}``, the local copy of a data set, and ``${as_judge:KEY}``, a setting that the labeler has of the judge."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("prompt_templates", prompt_templates, replace=True)
    OmegaConf.register_new_resolver("copy_in", copy_in, replace=True)
    OmegaConf.register_new_resolver("as_judge", as_judge, replace=True)


def as_judge(key: str, *, _parent_: DictConfig, _root_: DictConfig) -> Any:
    """The judge's setting, or where the judge asks no language model, the usual one of the service that `_parent_` asks."""
    return _root_.judge[key] if key in _root_.judge else usual_settings(Path(config_dir()), _parent_.service)[key]


def copy_in(data_dir: str | None, name: str) -> str | None:
    """``<data_dir>/<name>`` if there is such a folder; without it a data set comes from where it is published."""
    copy = Path(data_dir).expanduser() / name if data_dir else None
    return str(copy) if copy and copy.is_dir() else None


def prompt_templates(name: str) -> list[str]:
    """The prompt templates in ``assets/templates``, with ``{}`` for the class name."""
    return read_lines(ASSETS / "templates" / f"{name}.txt")


def config_dir() -> str:
    """The absolute folder of the configuration files: inside the package when installed, beside it in a checkout."""
    package = ASSETS.parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


def configure(*overrides: str) -> DictConfig:
    """The configuration that the command line would give for `overrides`, checked."""
    register()
    with initialize_config_dir(config_dir(), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    check(cfg)
    return cfg


_NEED_A_PATH = {"dataset": "folder", "probe": "folder", "pool": "file", "spans": "file", "ccs": "file"}
_VIDEOS_NEED_A_PATH = ("msrvtt", "msvd", "didemo", "videos")
_LEAST = {"batch_size": 1, "stack_size": 1, "dataset.limit": 1, "dataset.frames": 1, "probe.num_images": 1, "num_workers": 0}
_LEAST |= dict.fromkeys(("robustness.relabel_draws", "robustness.shuffled_labels", "robustness.seed"), 0)
_LEAST_SEEDS, _MOST_DONORS = 5, 256
_VALUES = {
    "textspan": ("direct", "reference"),
    "ablation": ("zero", "mean", "resample", "direct"),
    "engine": ("shared", "plain"),
    "on_error": ("raise", "skip"),
    "protocol": ("standard", "paper"),
    "dataset.task": ("classification", "retrieval"),
    "device": ("auto", "cpu", "gpu", "cuda", "mps"),
    "precision": ("32", "16-mixed", "bf16-mixed", "16", "bf16", "64"),
    "prune.match_count": (None, "min"),
}


def check(cfg: DictConfig) -> None:
    """Raise `CcsError` for values and combinations that cannot work, before anything is loaded."""
    for key, allowed in _VALUES.items():
        value = OmegaConf.select(cfg, key)
        if value not in allowed:
            choices = ", ".join("null" if choice is None else str(choice) for choice in allowed)
            raise CcsError(f"{key}={value} is not known. Choose one of: {choices}.")
    missing = sorted(OmegaConf.missing_keys(cfg))
    missing += [f"{group}.path" for group, name in _NEED_A_PATH.items() if cfg[group].name == name and not cfg[group].path]
    missing += ["dataset.frames"] if cfg.dataset.task == "retrieval" and cfg.dataset.frames is None else []
    missing += ["dataset.path"] if cfg.dataset.name in _VIDEOS_NEED_A_PATH and not cfg.dataset.path else []
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
    if cfg.spans.name == "file" and cfg.ccs.name != "computed":
        raise CcsError(f"spans=file and ccs={cfg.ccs.name} both say where the scores come from. Choose one of them.")
    if cfg.ccs.name == "published" and (cfg.ccs.high, cfg.ccs.low) != (5, 1):
        raise CcsError("ccs=published knows the authors' classes, not every CCS, so ccs.high and ccs.low cannot change them.")
    for name in PruneConfig.STRATEGIES:
        if cfg.prune[name] and "_target_" not in cfg.prune[name]:
            raise CcsError(f"prune.{name} is set, but {name} is not chosen. Choose it, as in 'prune=[high_ccs,{name}]'.")
    if cfg.labeler.name == "given" and cfg.spans.name != "file":
        raise CcsError("labeler=given takes the labels from a spans file: add spans=file spans.path=FILE.")
    if cfg.robustness.relabel_draws and cfg.labeler.name == "given":
        raise CcsError("robustness.relabel_draws names the concepts again, which labeler=given cannot. Choose another labeler.")
    if (cfg.robustness.relabel_draws or cfg.robustness.shuffled_labels) and cfg.ccs.name != "computed":
        raise CcsError(
            f"robustness.* judges descriptions again, but ccs={cfg.ccs.name} takes scores as they are. For the descriptions of an "
            "earlier run: spans=file spans.path=RUN/heads.csv, with labeler=given for its labels."
        )
    seeds = list(cfg.resample.seeds)
    if len(set(seeds)) != len(seeds) or len(seeds) < _LEAST_SEEDS:
        raise CcsError(f"resample.seeds={seeds}: give at least {_LEAST_SEEDS} seeds, each once, so that their spread can be told.")
    if not 2 <= cfg.resample.donors <= _MOST_DONORS:
        raise CcsError(f"resample.donors={cfg.resample.donors}: give a number from 2 to {_MOST_DONORS}.")
    for key, least in _LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and value < least:
            raise CcsError(f"{key}={value}: give a number of at least {least}.")
    _check_local_copy(cfg)
    check_processes(cfg.trainer.devices, cfg.trainer.num_nodes)
    check_parts(Path(config_dir()), {part: cfg[part] for part in ("labeler", "judge")})
    if cfg.dataset.name != "none" and cfg.dataset.task == "classification":
        of_tasks = {f"tasks.{name}": templates for name, templates in cfg.dataset.tasks.items()}
        for key, templates in {"templates": cfg.dataset.templates, **of_tasks}.items():
            bad = [template for template in templates if "{}" not in template]
            if bad or not (templates or cfg.dataset.tasks):
                example = f"'dataset.{key}=[\"a photo of a {{}}.\"]'"
                what = f"the template {bad[0]!r} has no {{}} where the class name belongs" if bad else "there is no template"
                raise CcsError(f"dataset.{key}: {what}. Give templates as in {example}.")


def _check_local_copy(cfg: DictConfig) -> None:
    for key in ("partial", "streaming", "class_names"):
        if cfg.dataset[key] and key not in cfg.dataset.source:
            value = "true" if cfg.dataset[key] is True else cfg.dataset[key]
            raise CcsError(f"dataset.{key}={value} is not used by dataset={cfg.dataset.name}. Leave it out.")
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
