"""The configuration: its typed schema, and how it is composed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.config.checks import check
from ccs_exp.config.mistakes import explained
from ccs_exp.config.place import config_dir
from ccs_exp.config.services import as_judge
from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_lines
from ccs_exp.heads import HIGH_FROM, LOW_TO, RANDOM_FROM_ALL_LAYERS


@dataclass
class ModelConfig:
    name: str = MISSING  # open_clip's architecture
    pretrained: str | None = MISSING  # open_clip's tag; null: random weights
    variant: str | None = None  # what results call the model; null: <name>/<pretrained>
    weights: str | None = None  # a local checkpoint
    architecture: str | None = None  # where open_clip does not know the name: a configuration in the package, or the absolute path of one
    repository: bool = False  # the name is a folder or a hub repository, with weights, tokenizer and preprocessing of its own
    preprocess: dict[str, Any] = field(default_factory=dict)  # overrides of size, mean, std, interpolation, for checkpoints without a tag


@dataclass
class DatasetConfig:
    name: str = MISSING
    path: str | None = None  # a local copy, or your own folder
    id: str | None = None  # the repository of a data set of the hub: ORG/NAME
    revision: str | None = None  # its commit or branch
    split: str | None = None  # its part
    image_column: str | None = None  # of its images; null: the only one
    label_column: str | None = None  # of its labels; null: the only one, or that of the usual name
    limit: int | None = None  # a quick look at that many samples, drawn from all
    partial: bool = False  # a local copy may lack images, videos and classes
    streaming: bool = False  # read the hub's files as they come
    class_names: str | None = None  # of class folders or labels: a CSV file folder,name; null: by the folders' names, or the set's own
    protocols: dict[str, Any] = field(default_factory=dict)  # what differs between protocols, where anything does
    task: str = "classification"  # classification | retrieval | skew
    frames: int | None = None  # of a video
    frame_order: str = "as_filmed"  # as_filmed | shuffled: a control of what only an order of frames could tell
    layout: str | None = None  # what dataset.path must hold
    source: dict[str, Any] = field(default_factory=dict)  # what opens it: _target_ and its arguments
    templates: list[str] = field(default_factory=list)  # prompts, with {} for the class name
    tasks: dict[str, Any] = field(default_factory=dict)  # templates of each label column, where images have several
    occupations: str | None = None  # a text file of what images of people are ranked for, one a line; null: the data set's, or ours
    top_k: int | None = None  # skews are of that many images; null: a tenth of them, at most 1,000


@dataclass
class ProbeConfig:
    name: str = MISSING
    path: str | None = None  # a local copy, or your own folder of images
    num_images: int | None = None  # images to decompose over; null: all
    source: dict[str, Any] = field(default_factory=dict)  # what opens it: _target_ and its arguments


@dataclass
class PoolConfig:
    name: str = MISSING
    path: str | None = None  # a text file of descriptions, one a line
    parts: list[str] | None = None  # of the taxonomy; null: all


@dataclass
class SpansConfig:
    name: str = MISSING
    path: str | None = None  # the file of descriptions


@dataclass
class CcsConfig:
    name: str = MISSING
    path: str | None = None  # an earlier run's heads.csv
    high: int = HIGH_FROM  # CCS from here on is high
    low: int = LOW_TO  # CCS up to here is low


@dataclass
class PruneConfig:
    """A strategy that is not chosen is an empty mapping, so that overriding its keys is an error that says so."""

    match_count: str | None = None  # min: high, low and random get the smaller class's number of heads
    match_seeds: list[int] = field(default_factory=lambda: [0, 1, 2])  # draws of the heads that are left with match_count=min
    high_ccs: dict[str, Any] = field(default_factory=dict)
    low_ccs: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] = field(default_factory=dict)
    concept: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Any] = field(default_factory=dict)
    each_head: dict[str, Any] = field(default_factory=dict)
    matched: dict[str, Any] = field(default_factory=dict)
    curve: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)  # strategies that are not in the package, by name


@dataclass
class ResampleConfig:
    """Of ``ablation=resample``."""

    donors: int = 256  # images of the probe, at most
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])  # of which sample has which donor


@dataclass
class RobustnessConfig:
    """Beyond the scores: how often heads are labelled again, and judged under other heads' labels."""

    relabel_draws: int = 0  # name each head's concept that many more times, and report how stable its CCS is
    shuffled_labels: int | None = None  # judge each head under so many other heads' labels: a CCS by chance; null: 10, 0 if that costs
    seed: int = 0  # of the draws


@dataclass
class EvidenceConfig:
    """Beyond what follows from the conditions evaluated."""

    reading: bool = False  # one more pass over the data set: what heads represent, whether they detect what their texts name
    sufficiency: bool = False  # in that pass: what is left of a task where heads keep five directions alone
    split: bool = False  # orders by cost are chosen on one half of the data set, and all curves measured on the other
    intruder: bool = False  # ask the language models that judge, too, which description is another head's
    stability: bool = False  # score heads from each half of the probe: what comes again; one more pass over it
    other_probe: Any = None  # and from another: what differs of probe.source, or a source of its own
    concept_tests: str | None = None  # a CSV concept,dataset,task: which tasks test which labels, beside the packaged ones
    seed: int = 0  # of bootstraps, permutations and intruders


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
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    atlas: bool = False  # keep what every head adds to every probe image, and write pages to look at it; a model may set it
    atlas_thumbnails: bool | None = None
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
    ``${copy_in:DIR,NAME}``, the local copy of a data set, ``${as_judge:KEY}``, a setting that the labeler has of the judge, and
    ``${random_layers:PROTOCOL,VARIANT}``, the layers that random heads are drawn from."""
    store = ConfigStore.instance()
    stored = store.repo.get("schema.yaml")
    if stored is None or OmegaConf.get_type(stored.node) is not Config:  # a job registers again, and making a node of it takes time
        store.store(name="schema", node=Config)
    OmegaConf.register_new_resolver("prompt_templates", prompt_templates, replace=True)
    OmegaConf.register_new_resolver("copy_in", copy_in, replace=True)
    OmegaConf.register_new_resolver("random_layers", random_layers, replace=True)
    OmegaConf.register_new_resolver("as_judge", partial(as_judge, config_dir()), replace=True)


def copy_in(data_dir: str | None, name: str) -> str | None:
    """``<data_dir>/<name>`` if there is such a folder; without it a data set comes from where it is published."""
    copy = Path(data_dir).expanduser() / name if data_dir else None
    return str(copy) if copy and copy.is_dir() else None


def random_layers(protocol: str, variant: str | None) -> str:
    """``scored`` or ``all``: as the authors' code draws a variant's random heads, with ``protocol=paper``."""
    return "all" if protocol == "paper" and variant in RANDOM_FROM_ALL_LAYERS else "scored"


def prompt_templates(name: str) -> list[str]:
    """The prompt templates in ``assets/templates``, with ``{}`` for the class name."""
    return read_lines(ASSETS / "templates" / f"{name}.txt")


def configure(*overrides: str) -> DictConfig:
    """The configuration that the command line would give for `overrides`, checked. Raises `CcsError` where there is none."""
    register()
    state = GlobalHydra.instance()
    theirs, state.hydra = state.hydra, None  # of a program around this one, which has a configuration of its own
    try:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            cfg = compose("config", overrides=list(overrides))
        check(cfg)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise CcsError(explained(error)) from error
    finally:
        state.hydra = theirs
    return cfg
