"""Every configuration composes, everything it names exists, and what cannot work is refused before anything loads."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from composing import as_by_hydra
from hydra.errors import HydraException
from hydra.utils import get_class, get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.__main__ import _paragraph
from ccs_exp.config.schema import config_dir, configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build, build_strategies

CONF = Path(config_dir())
GROUPS = sorted(path for path in CONF.iterdir() if path.is_dir())
CHOICES = [
    f"{'+' * (group.name == 'experiment')}{group.name}={path.stem}" for group in GROUPS for path in sorted(group.glob("*.yaml"))
]
NEEDS = {  # what a choice cannot do without
    "model=open_clip": ["model.name=ViT-B-32", "model.pretrained=openai"],
    "model=hf": ["model.name=org/name"],
    "dataset=folder": ["dataset.path=somewhere"],
    **{f"dataset={name}": ["dataset.id=org/name"] for name in ("hub", "wds")},
    **{f"dataset={name}": ["dataset.path=somewhere"] for name in ("msrvtt", "msvd", "didemo", "videos", "table")},
    "probe=folder": ["probe.path=somewhere"],
    "pool=file": ["pool.path=somewhere"],
    "spans=file": ["spans.path=somewhere"],
    "ccs=file": ["ccs.path=somewhere"],
    "judge=local": ["judge.model=llama"],
    "labeler=local": ["labeler.model=llama"],
    "labeler=given": ["spans=file", "spans.path=somewhere"],
    "prune=concept": ["prune.concept.names=[locations]"],
}


@pytest.mark.parametrize(
    ("choices", "settings"),
    [((), ("seed=3",)), (("dataset=digits", "prune=[random,each_head]"), ("prune.random.seeds=[1]", "batch_size=3"))],
)
def test_what_tests_compose_once_is_what_hydra_composes(choices, settings):
    configure(*choices)
    with as_by_hydra():
        expected = configure(*choices, *settings)
    for given, equal in ((settings, True), ((), False), (settings, True)):
        assert (OmegaConf.to_yaml(configure(*choices, *given)) == OmegaConf.to_yaml(expected)) is equal


def targets(node):
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


# all by the long tests, every sixth by the short ones
@pytest.mark.parametrize("choice", [pytest.param(c, marks=pytest.mark.full if n % 6 else []) for n, c in enumerate(CHOICES)])
def test_every_choice_composes_and_names_what_exists(choice):
    cfg = configure(choice, *NEEDS.get(choice, []))
    for target in targets(OmegaConf.to_container(cfg, resolve=True)):
        try:
            get_class(target)
        except ValueError:
            get_method(target)


@pytest.mark.parametrize("choice", [choice for choice in NEEDS if choice != "labeler=given"])
def test_what_a_choice_needs_is_asked_for(choice):
    with pytest.raises(CcsError, match=r"Still needed: .*=\.\.\."):
        configure(choice)


def test_defaults_are_the_contract():
    cfg = configure()
    names = {group: cfg[group].name for group in ("dataset", "probe", "pool", "spans", "ccs", "labeler", "judge", "tracker")}
    assert cfg.model.variant == "tiny" and names == {
        "dataset": "scenes", "probe": "scenes", "pool": "scenes", "spans": "computed", "ccs": "computed",
        "labeler": "taxonomy", "judge": "taxonomy", "tracker": "wandb_offline",
    }  # fmt: skip
    assert [type(s).__name__ for s in build_strategies(cfg.prune)] == ["ByClass", "ByClass", "EachHead", "Matched"]
    assert cfg.evidence.reading and cfg.prune.matched.draws >= 50


@pytest.mark.parametrize("variant", ["vitb32_openai", "vitl14_laion"])
def test_a_model_brings_its_dataset_probe_and_pool_and_the_command_line_wins(variant):
    cfg = configure(f"model={variant}")
    assert (cfg.dataset.name, cfg.probe.name, cfg.pool.name, cfg.probe.num_images) == (
        "cifar10",
        "mini_imagenet",
        "taxonomy",
        5000,
    )
    assert [type(s).__name__ for s in build_strategies(cfg.prune)] == ["ByClass", "ByClass", "Random"] and not cfg.evidence.reading
    cfg = configure(f"model={variant}", "dataset=digits", "pool=scenes")
    assert (cfg.dataset.name, cfg.probe.name, cfg.pool.name) == ("digits", "mini_imagenet", "scenes")


@pytest.mark.parametrize(
    ("overrides", "strategies"),
    [
        (["prune=none"], []),
        (["prune=high_ccs"], ["high_ccs"]),
        (["prune=[high_ccs,random]", "prune.random.seeds=[4,5]"], ["high_ccs", "random"]),
        (["prune=each_head"], ["each_head"]),
        (["prune=heads", "prune.heads.list=[L8.H3]", "prune.heads.sets={mine:[L9.H1]}"], ["heads"]),
        (["prune=concept", "prune.concept.names=[locations,animals]"], ["concept"]),
        (["prune=[paper,each_head]"], ["high_ccs", "low_ccs", "random", "each_head"]),
        (["model=vitb32_openai", "prune=[evidence,random]"], ["high_ccs", "low_ccs", "random", "each_head", "matched"]),
        (["+experiment=smoke_table4"], ["high_ccs", "low_ccs", "random"]),
    ],
)
def test_prune_is_multi_select(overrides, strategies):
    cfg = configure(*overrides)
    assert [name for name, node in cfg.prune.items() if isinstance(node, DictConfig) and node] == strategies
    assert len(build_strategies(cfg.prune)) == len(strategies)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model=vitb33", "model=vitb33 is not known. Choose one of: hf, open_clip, tiny"),
        ("prune=[high_ccs,foo]", "prune=foo is not known. Choose one of: concept, curve, each_head"),
        ("dataset.limit=many", "limit"),
        ("prune.concept.names=[locations]", "prune.concept.names"),
        ("+prune.concept.names=[locations]", "concept is not chosen. Choose it, as in 'prune=.high_ccs,concept.'"),
        ("textspan=indirect", "textspan=indirect is not known. Choose one of: direct, reference"),
        ("engine=fast", "Choose one of: shared, plain"),
        ("on_error=ignore", "Choose one of: raise, skip"),
        ("prune.match_count=max", "Choose one of: null, min"),
        ("dataset.limit=0", "dataset.limit=0"),
        ("batch_size=0", "batch_size=0"),
        ("device=tpu9", "Choose one of: auto, cpu"),
        ("precision=8", "precision=8 is not known"),
        ("dataset.path=somewhere", "dataset.path=somewhere is not used by dataset=scenes. Add dataset=folder"),
        ("pool.path=somewhere", "Add pool=file"),
        ("num_workers=-1", "num_workers=-1: give a number of at least 0"),
        ("probe.num_images=0", "probe.num_images=0"),
        ("protocol=authors", "Choose one of: standard, paper"),
        ("dataset.partial=true", "dataset.partial=true is not used by dataset=scenes"),
        ("dataset.streaming=true", "dataset.streaming=true is not used by dataset=scenes"),
        ("labeler=given", "labeler=given takes the labels from a spans file"),
        ("spans=file spans.path=a ccs=published", "spans=file and ccs=published both say"),
        ("ccs=published ccs.high=4", "ccs.high and ccs.low cannot change them"),
        ("dataset=none dataset.path=somewhere", "not used by dataset=none"),
        ("dataset=food101 dataset.streaming=true num_workers=2", "reads in one process, so num_workers=2 cannot be"),
        ("dataset=food101 dataset.partial=true", "add dataset.path=DIR"),
        ("dataset=food101 dataset.path=a dataset.partial=true dataset.streaming=true", "exclude each other"),
    ],
)
def test_what_cannot_work_dies_at_composition(overrides, message):
    with pytest.raises((CcsError, HydraException, OmegaConfBaseException)) as caught:
        configure(*overrides.split())
    assert re.search(message, _paragraph(caught.value))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["prune=random", "prune.random.seeds=[]"], "at least one seed"),
        (["prune=heads"], "prune=heads needs heads"),
        (["prune=heads", "prune.heads.list=[H3]"], "'H3' is not a head"),
    ],
)
def test_impossible_strategies_are_refused_without_a_model(overrides, message):
    with pytest.raises(CcsError, match=message):
        build_strategies(configure(*overrides).prune)


def test_other_errors_of_a_constructor_are_not_swallowed():
    with pytest.raises(Exception, match="unexpected keyword"):
        build(DictConfig({"_target_": "ccs_exp.pruning.strategies.Random", "nonsense": 1}))


def test_help_is_fast_shows_the_choices_and_imports_no_torch(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "ccs_exp", "--help"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert time.perf_counter() - started < 30  # a hang, not a benchmark
    for choice in ("vitl14_laion", "scenes_shape", "high_ccs", "wandb_offline", "figure2_equal", "python -m ccs_exp"):
        assert choice in done.stdout
    assert "| torch\n" not in done.stderr and "| lightning\n" not in done.stderr
