"""Where the configuration's files lie."""

from __future__ import annotations

from ccs_exp.files import ASSETS


def config_dir() -> str:
    """The absolute folder of the configuration files: inside the package when installed, beside it in a checkout."""
    package = ASSETS.parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")
