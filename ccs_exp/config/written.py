"""What is written of a configuration, and that nothing is before it is known to hold no secret and no setting that Hydra does not have.

Hydra's own dump of a job's configuration comes before the job can look at it, so ``hydra.output_subdir`` is null and the same files are
written here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ccs_exp.config.secrets import check_no_secrets
from ccs_exp.config.settings import check_hydra
from ccs_exp.errors import CcsError
from ccs_exp.files import write_whole


class Check(Callback):
    """Hydra calls it before a job or a sweep has written anything."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        try:
            check_no_secrets(config)
            check_hydra(config.hydra)
        except CcsError as error:  # Hydra would make a warning of it and go on
            sys.exit(f"Error: {error}")

    on_multirun_start = on_run_start


def write_configuration(cfg: DictConfig, run_dir: Path) -> None:
    """``.hydra`` of a run folder: the configuration, Hydra's own, and the command line's overrides. Raises `CcsError` for a secret."""
    check_no_secrets(cfg)
    if cfg.plan:
        return
    hydra = HydraConfig.instance().cfg
    for name, part in {"config": cfg, "hydra": hydra, "overrides": HydraConfig.get().overrides.task}.items():
        write_whole(run_dir / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(part).encode("utf-8"))
