"""Hydra composes a job's whole configuration to read `hydra.mode`, and then once more with ``hydra.mode=RUN`` added: a sixth of a second.

Here the second is the first, with that added. It stands on how Hydra asks for the two, so that `tests/config/test_composed_once.py` holds
what comes of it to what Hydra's own loader gives.
"""

from __future__ import annotations

from contextlib import suppress

from hydra._internal import hydra as hydras
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig

_MODE = "hydra.mode=RUN"


class ComposedOnce(ConfigLoaderImpl):
    """Loads as Hydra does."""

    _kept: tuple[str | None, list[str], DictConfig] | None = None

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        kept, self._kept = self._kept, None
        if kept and run_mode is RunMode.RUN and (config_name, overrides) == (kept[0], [*kept[1], _MODE]):
            cfg = kept[2]
            cfg.hydra.overrides.hydra.append(_MODE)
            cfg.hydra.mode = RunMode.RUN
            return cfg
        if not validate_sweep_overrides:  # for the mode alone; what cannot be a job's is composed, and refused, as ever
            with suppress(Exception):
                cfg = super().load_configuration(config_name, overrides, RunMode.RUN, from_shell)
                self._kept = config_name, list(overrides), cfg
                return cfg
        return super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)


def install() -> None:
    """For commands that begin from now on."""
    hydras.ConfigLoaderImpl = ComposedOnce  # type: ignore[misc]
