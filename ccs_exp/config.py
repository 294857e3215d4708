"""The configuration: its typed schema, where its files lie, and the checks that need more than one choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from ccs_exp.errors import CcsError


@dataclass
class ModelConfig:
    name: str = MISSING  # open_clip's architecture
    pretrained: str | None = MISSING  # open_clip's tag; null: random weights
    variant: str | None = None  # what results call the model; null: <name>/<pretrained>
    weights: str | None = None  # a local checkpoint
    architecture: str | None = None  # a configuration in the package, where open_clip does not know the name
    preprocess: dict[str, Any] | None = None


@dataclass
class DatasetConfig:
    name: str = MISSING
    path: str | None = None
    limit: int | None = None
    source: dict[str, Any] | None = None
    templates: list[str] = field(default_factory=list)


@dataclass
class ProbeConfig:
    name: str = MISSING
    path: str | None = None
    num_images: int | None = None
    source: dict[str, Any] | None = None


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
    match_count: str | None = None  # min: high, low and random get the smaller class's number of heads
    match_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    high_ccs: dict[str, Any] | None = None
    low_ccs: dict[str, Any] | None = None
    random: dict[str, Any] | None = None
    concept: dict[str, Any] | None = None
    heads: dict[str, Any] | None = None
    each_head: dict[str, Any] | None = None

    STRATEGIES = ("high_ccs", "low_ccs", "random", "concept", "heads", "each_head")


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
    textspan: str = "direct"
    engine: str = "plain"
    batch_size: int = 64
    num_workers: int | None = None
    on_error: str = "raise"
    device: str = "auto"
    precision: str = "32"
    seed: int = 0


def register() -> None:
    """Make the schema known to Hydra, as ``schema``."""
    ConfigStore.instance().store(name="schema", node=Config)


def config_dir() -> str:
    """The absolute folder of the configuration files: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
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
_VALUES = {
    "textspan": ("direct", "reference"),
    "engine": ("plain",),
    "on_error": ("raise", "skip"),
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
    if missing:
        raise CcsError(f"Still needed: {', '.join(f'{key}=...' for key in missing)}. Add it to the command line.")
    if cfg.labeler.name == "given" and cfg.spans.name != "file":
        raise CcsError("labeler=given takes the labels from a spans file: add spans=file spans.path=FILE.")
    if cfg.batch_size < 1:
        raise CcsError(f"batch_size={cfg.batch_size}: give a number of at least 1.")
    if cfg.dataset.limit is not None and cfg.dataset.limit < 1:
        raise CcsError(f"dataset.limit={cfg.dataset.limit}: give a number of at least 1, or null for all samples.")
