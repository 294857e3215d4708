"""Makes composing cheap: of the package's own configuration files each choice of groups is put together by Hydra once.

What follows - the command line's settings, our checks - is done each time. Programs that tests start do all of it, as users' do.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, _utils, base

from ccs_exp.config import schema

Plugins.instance()  # registers the sources: the classes that Hydra loaded, which are not those that an import gives
Files = SourcesRegistry.instance().resolve("file")
# Hydra's own
make_list, compose, load, known_choices, copied, parse = (
    config_loader_impl.create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list, Files.load_config,
    defaults_list._create_interpolation_map, CachingConfigRepository.__init__, base.parse,
)  # fmt: skip


@contextmanager
def composing_by(make_list, compose, load, known_choices, copied, parse) -> Iterator[None]:
    with (
        patch.object(config_loader_impl, "create_defaults_list", make_list),
        patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose),
        patch.object(Files, "load_config", load),
        patch.object(defaults_list, "_create_interpolation_map", known_choices),
        patch.object(CachingConfigRepository, "__init__", copied),
        patch.object(base, "parse", parse),
        patch.object(_utils, "parse", parse),
    ):
        yield


@contextmanager
def as_by_hydra() -> Iterator[None]:
    with composing_by(make_list, compose, load, known_choices, copied, parse):
        yield


@contextmanager
def each_choice_once() -> Iterator[None]:
    lists: dict[tuple, DefaultsList] = {}
    composed: dict[tuple, bytes] = {}
    parsed: dict[tuple[str, str], bytes] = {}

    def sources(repo: IConfigRepository) -> tuple[str, ...] | None:
        """What is searched, if nothing of it can change."""
        found = tuple(source.path for source in repo.get_sources())
        return found if all(path == schema.config_dir() or not path.startswith("/") for path in found) else None

    def list_once(
        repo: IConfigRepository, config_name: str, overrides_list: Sequence[Override], prepend_hydra: bool, skip_missing: bool
    ) -> DefaultsList:
        settings, searched = Overrides(repo, list(overrides_list)).config_overrides, sources(repo)
        key = (searched, config_name, skip_missing, *(chosen.input_line for chosen in overrides_list if chosen not in settings))
        if searched is None or key not in lists:
            lists[key] = make_list(repo, config_name, list(overrides_list), prepend_hydra, skip_missing)
        found = lists[key]
        return DefaultsList(found.defaults, found.defaults_tree, settings, found.overrides)

    def compose_once(loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        searched = sources(repo)
        key = (searched, *((default.config_path, default.package, default.is_self) for default in defaults))
        if searched is None or key not in composed:
            composed[key] = pickle.dumps(compose(loader, defaults, repo))
        return pickle.loads(composed[key])

    def choices_if_needed(overrides: Overrides, found: list[InputDefault], self_added: bool) -> DictConfig:
        interpolated = any(default.is_interpolation() for default in found)
        return known_choices(overrides, found, self_added) if interpolated else DictConfig({})

    def not_copied(repo: CachingConfigRepository, delegate: IConfigRepository) -> None:
        repo.delegate = copy.copy(delegate)  # which may be given another list of sources; they are not changed
        repo.cache = {}

    def load_once(source: Files, config_path: str) -> ConfigResult:
        if source.path != schema.config_dir():
            return load(source, config_path)
        key = (source.provider, config_path)
        if key not in parsed:
            parsed[key] = pickle.dumps(load(source, config_path))
        return pickle.loads(parsed[key])

    faster = (list_once, compose_once, load_once, choices_if_needed, not_copied, cache(parse))
    with composing_by(*faster), patch.object(schema, "register", cache(schema.register)):
        yield
