"""Where files that outlive a run are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """``CCS_EXP_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("CCS_EXP_CACHE") or platformdirs.user_cache_dir("ccs_exp"))
