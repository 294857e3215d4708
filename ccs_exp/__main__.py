"""The command line: compose the configuration, check it, run the experiment; errors as paragraphs."""

from __future__ import annotations

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.config import check, config_dir, register
from ccs_exp.errors import CcsError

register()


@hydra.main(config_path=config_dir(), config_name="config", version_base="1.3")
def _job(cfg: DictConfig) -> None:
    hydra_cfg = HydraConfig.get()
    asked = frozenset(override.lstrip("+~").split("=")[0].split("@")[0] for override in hydra_cfg.overrides.task)
    check(cfg)

    from ccs_exp.experiment import Job, run  # imports torch, which --help should not wait for

    sweep = os.path.basename(hydra_cfg.sweep.dir) if hydra_cfg.mode.name == "MULTIRUN" else None
    run(cfg, Job(run_dir=hydra_cfg.runtime.output_dir, asked=asked, sweep=sweep))


def main() -> None:
    """Run the command line; exit status 1 after an error, 130 after Ctrl-C."""
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra hands exceptions on instead of printing its own traceback
    try:
        _job()
    except KeyboardInterrupt:
        print("\nInterrupted. Files written so far are whole.", file=sys.stderr)
        sys.exit(130)
    except (CcsError, HydraException, OmegaConfBaseException, OSError) as error:
        if show_traceback:
            raise
        sys.exit(f"Error: {_paragraph(error)}")


def _paragraph(error: Exception) -> str:
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice} is not known. Choose one of: {', '.join(error.options)}."
    causes = [str(error), str(error.__cause__ or "")] if isinstance(error, HydraException) else [str(error)]
    return " ".join(" ".join(dict.fromkeys(causes)).split())


if __name__ == "__main__":
    main()
