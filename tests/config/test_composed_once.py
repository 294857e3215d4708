"""What a job is given is what Hydra would compose for it, and is composed once."""

import pytest
from hydra._internal import hydra as hydras
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from ccs_exp.config import composed_once
from ccs_exp.config.composed_once import ComposedOnce
from ccs_exp.config.schema import config_dir, register


@pytest.fixture(autouse=True)
def no_program_around(monkeypatch):
    register()
    monkeypatch.setattr(GlobalHydra.instance(), "hydra", None)


def started(loader, monkeypatch, config_name, overrides):
    """As `hydra.main` does: the mode, and the configuration of a job or of a sweep, or what it says against that."""
    monkeypatch.setattr(hydras, "ConfigLoaderImpl", loader)
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2("here", create_config_search_path(config_dir()))
    found = mode = hydra.get_mode(config_name, overrides)
    if mode is None:
        found, overrides = RunMode.RUN, [*overrides, "hydra.mode=RUN"]
    try:
        cfg = hydra.compose_config(config_name, overrides, found)
    except Exception as error:
        return mode, type(error), str(error)
    assert OmegaConf.is_struct(cfg) and not OmegaConf.is_readonly(cfg.hydra)
    return mode, OmegaConf.to_container(cfg, enum_to_str=False), OmegaConf.get_type(cfg, "hydra")


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["dataset=digits", "prune=[random,each_head]", "hydra.run.dir=here", "+hydra.job.env_set.ONE=1", "batch_size=3"],
        ["hydra.mode=RUN"],
        ["+experiment=smoke_table4"],  # a sweep by its own word
        ["model=tiny,vitb32_openai"],  # one that nobody asked for
        ["model=vitb33"],
        ["prune.random.seedz=1"],
    ],
)
def test_a_job_is_given_what_hydra_composes(overrides, monkeypatch):
    expected, found = (started(loader, monkeypatch, "config", list(overrides)) for loader in (ConfigLoaderImpl, ComposedOnce))
    assert found == expected


def test_a_job_is_composed_once_and_the_next_anew(monkeypatch):
    composed = []
    plainly = ConfigLoaderImpl._load_configuration_impl

    def counted(*given, **more):
        composed.append(given)
        return plainly(*given, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    monkeypatch.setattr(hydras, "ConfigLoaderImpl", ConfigLoaderImpl)
    composed_once.install()
    hydra = Hydra.create_main_hydra2("here", create_config_search_path(config_dir()))
    assert hydra.get_mode("config", ["seed=1"]) is None
    first, again = (hydra.compose_config("config", ["seed=1", "hydra.mode=RUN"], RunMode.RUN) for _ in range(2))
    assert len(composed) == 2 and first is not again and first.seed == again.seed == 1
    other = hydra.compose_config("config", ["seed=2", "hydra.mode=RUN"], RunMode.RUN)
    assert other.seed == 2 and len(composed) == 3
