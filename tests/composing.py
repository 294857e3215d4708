"""Makes composing cheap: of the package's own configuration files each choice of groups is put together by Hydra once.

What follows - the command line's settings, our checks - is done each time. Programs that tests start do all of it, as users' do.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig

from ccs_exp.config import schema

# Hydra's own
make_list, compose, load = (
    config_loader_impl.create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list, FileConfigSource.load_config
)  # fmt: skip


@contextmanager
def as_by_hydra() -> Iterator[None]:
    with (
        patch.object(config_loader_impl, "create_defaults_list", make_list),
        patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose),
        patch.object(FileConfigSource, "load_config", load),
    ):
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

    def load_once(source: FileConfigSource, config_path: str) -> ConfigResult:
        if source.path != schema.config_dir():
            return load(source, config_path)
        key = (source.provider, config_path)
        if key not in parsed:
            parsed[key] = pickle.dumps(load(source, config_path))
        return pickle.loads(parsed[key])

    with (
        patch.object(config_loader_impl, "create_defaults_list", list_once),
        patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose_once),
        patch.object(FileConfigSource, "load_config", load_once),
        patch.object(schema, "register", cache(schema.register)),
    ):
        yield
