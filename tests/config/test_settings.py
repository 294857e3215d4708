"""Every setting of every choice with wrong values: one paragraph, never a traceback, and nothing loaded."""

import pickle
from collections import Counter
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from test_config import NEEDS

from ccs_exp.config.checks import check
from ccs_exp.config.mistakes import explained
from ccs_exp.config.place import config_dir
from ccs_exp.config.plain import plain
from ccs_exp.config.schema import configure
from ccs_exp.config.settings import check_hydra
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build, build_strategies

GROUPS = sorted(path.name for path in Path(config_dir()).iterdir() if path.is_dir() and path.name not in ("experiment", "hydra", "prompts"))
WRONG = ({"a": 1}, "abc", -1, "", None)
# a mapping, or refused by another check
FREE = ("dataset.source", "model.preprocess", "dataset.tasks", "trainer.devices")


def leaves(node, path=""):
    for key in node:
        where = f"{path}{key}"
        # protocols are read by the interpolations beside them alone
        if key in ("_target_", "_partial_", "name") or where.startswith("dataset.protocols"):
            continue
        value = None if OmegaConf.is_interpolation(node, key) else node[key]
        if isinstance(value, DictConfig) and value:
            yield from leaves(value, f"{where}.")
        else:
            yield where


def target_of(cfg, key):
    parent = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return parent.get("_target_") if isinstance(parent, DictConfig) else None


def outcome(kept, key, value):
    """What becomes of the value, up to where a job would load its model: a paragraph, or None where it is taken."""
    cfg = pickle.loads(kept)  # faster than a copy
    try:
        OmegaConf.update(cfg, key, value)
        check(cfg)
        build_strategies(cfg.prune)
        build(cfg.tracker)
        for part in ("labeler", "judge"):
            if cfg[part].name != "embedding":  # which loads its model
                build(cfg[part])
        for part in ("dataset", "probe"):
            if key.startswith(f"{part}.source.") and "bundled" in cfg[part].source._target_:
                build(cfg[part].source)
    except (CcsError, OmegaConfBaseException) as error:
        return explained(error)
    return None


def smaller(cfg):
    for part in ("dataset", "probe"):
        for name in ("num_images", "num_videos"):
            if name in cfg[part].source:
                OmegaConf.update(cfg, f"{part}.source.{name}", 20)
    return cfg


# every setting is tried by the long tests, every other one of every twelfth choice of a group by the short ones
@pytest.mark.parametrize(("step", "other"), [(12, 2), pytest.param(1, 1, marks=pytest.mark.full)])
@pytest.mark.parametrize("group", [*GROUPS, "no group"])
def test_wrong_values_are_refused_in_a_paragraph(group, step, other):
    seen, counts = set(), Counter()
    choices = ([f"{group}={path.stem}" for path in sorted(Path(config_dir(), group).glob("*.yaml"))] or [""])[::step]
    for choice in choices:
        cfg = smaller(configure(*filter(None, [choice, *NEEDS.get(choice, [])])))
        kept = pickle.dumps(cfg)
        of_group = [key for key in leaves(cfg) if (key.split(".")[0] if key.split(".")[0] in GROUPS else "no group") == group]
        for key in of_group[::other]:
            same = (key.split(".")[-1] if target_of(cfg, key) else key, target_of(cfg, key))
            if same in seen:
                continue
            seen.add(same)
            before = OmegaConf.select(cfg, key)
            said = {repr(value): outcome(kept, key, value) for value in WRONG}
            refused = {value: text for value, text in said.items() if text is not None}
            assert all("\n" not in text and len(text) < 600 for text in refused.values()), refused
            if key not in FREE:
                assert repr({"a": 1}) in refused, f"{choice} {key}: no kind"
            if isinstance(before, int) and not isinstance(before, bool):
                assert "-1" in refused and "'abc'" in refused, f"{choice} {key}={before}"
            counts.update(refused=len(refused), taken=len(said) - len(refused))
    print(group, len(seen), "settings", dict(counts))
    assert seen


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("dataset.limt=5", "There is no setting dataset.limt. Did you mean dataset.limit?"),
        ("+dataset.limt=5", "There is no setting dataset.limt. Did you mean dataset.limit?"),
        ("++dataset.limt=5", "There is no setting dataset.limt. Did you mean dataset.limit?"),
        ("+judge.treshold=0.3", "There is no setting judge.treshold. Did you mean judge.threshold?"),
        ("+dataset.source.num_image=5", "There is no setting dataset.source.num_image. Did you mean dataset.source.num_images?"),
        ("+prune.random.seedz=[1]", "There is no setting prune.random.seedz. Did you mean prune.random.seeds?"),
        ("+tracker.projct=a", "There is no setting tracker.projct. Did you mean tracker.project?"),
        ("datset=scenes", "There is no setting datset. Did you mean dataset?"),
        ("+batchsize=3", "There is no setting batchsize. Did you mean batch_size?"),
        ("+xyzzy=3", "There is no setting xyzzy. --cfg job shows all settings of a command line."),
        ("judge.threshold=0.3", "judge.threshold is a setting of judge=embedding, which is not chosen here. Choose it"),
        ("~textspan", "textspan cannot be taken away. Leave out ~textspan."),
        ("dataset=5", "Config group override must be a string"),
        ("prune.random.seeds=abc", "prune.random.seeds=abc: give a list, each a whole number of at least 0."),
        ("prune.random.seeds=[-1]", "prune.random.seeds=[-1]: give a list, each a whole number of at least 0."),
        ("prune.random.seeds=5", "prune.random.seeds=5: give a list, each a whole number of at least 0."),
        ("prune.random.layers=every", "prune.random.layers=every: give one of scored, all."),
        ("tracker.tags=abc", "tracker.tags=abc: give a list, each text."),
        ("batch_size=abc", "batch_size=abc: give a whole number."),
        ("pixel_cache=maybe", "pixel_cache=maybe: give true or false."),
        ("prune.match_seeds=abc", "prune.match_seeds=abc: give a list, as in 'prune.match_seeds=[a,b]'."),
        ("trainer=5", "trainer=5: give a mapping"),
        ("+evidence={foo: 1}", "There is no setting evidence.foo."),
        ("dataset={a: 1}", "dataset is chosen by name, as --help lists them; its settings are set one by one, as dataset.SETTING=VALUE."),
        ("model.name=null", "model.name=null: give a value."),
        ("evidence.seed=-1", "evidence.seed=-1: give a number of at least 0."),
        ("evidence.other_probe=abc", "evidence.other_probe=abc: give what differs of probe.source, as in 'evidence.other_probe={seed: 4}'"),
        ("evidence.other_probe={sed: 4}", "There is no setting evidence.other_probe.sed. Did you mean evidence.other_probe.seed?"),
        ("evidence.concept_tests=nowhere.csv", "evidence.concept_tests=nowhere.csv: there is no such file."),
        ("ccs.high=9", "ccs.low=1 and ccs.high=9 do not separate classes"),
    ],
)  # fmt: skip
def test_what_was_meant_is_said(override, said):
    with pytest.raises(CcsError) as caught:
        configure("prune=paper", override)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("override", "meant"), [("++hydra.run.dri=x", "hydra.run.dir"), ("++hydra.foo=1", None)])
def test_hydra_s_own_settings_are_those_that_it_has(override, meant):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        check_hydra(compose("config", return_hydra_config=True).hydra)
        with pytest.raises(CcsError, match=f"There is no setting .*Did you mean {meant}" if meant else "There is no setting hydra.foo"):
            check_hydra(compose("config", overrides=[override], return_hydra_config=True).hydra)


def test_a_setting_of_a_strategy_that_is_not_chosen_says_how_to_write_it():
    with pytest.raises(CcsError, match=r"prune\.random\.seeds is a setting of prune=random, which is not chosen here") as caught:
        configure("prune=high_ccs", "prune.random.seeds=[0,1]")
    assert "'prune=[high_ccs,random]' prune.random.seeds=" in str(caught.value)
    assert configure("prune=[high_ccs,random]", "prune.random.seeds=[0,1]").prune.random.seeds == [0, 1]


def test_what_stands_in_the_files_is_of_its_kind():
    assert plain(configure("+model.preprocess.mean=[0.4,0.4,0.4]"))["model"]["preprocess"]["mean"] == [0.4, 0.4, 0.4]
