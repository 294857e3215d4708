"""MATLAB's files, in which some data sets are distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ccs_exp.errors import CcsError


def read_mat(file: Path, *names: str) -> list[np.ndarray]:
    """The arrays of those names, as they lie in the file. Raises `CcsError` for a file that is not MATLAB's, or lacks one."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found: dict[str, Any] = loadmat(str(file))
    except (MatReadError, NotImplementedError, ValueError, TypeError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise CcsError(f"{file} is no MATLAB file of the data set's archive ({reason}). Fetch it again.") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise CcsError(f"{file} holds no {', '.join(missing)}. Fetch it again: it belongs to the data set's archive.")
    return [found[name] for name in names]


def whole_numbers(file: Path, values: Any) -> list[int]:
    """An array of one number an image. Raises `CcsError` where that is not what it is."""
    flat = np.asarray(values).ravel()
    if not np.issubdtype(flat.dtype, np.integer) and not (np.issubdtype(flat.dtype, np.floating) and (flat == flat.round()).all()):
        raise CcsError(f"{file} has {flat.dtype} for the numbers of images and classes, expected are whole numbers. Fetch it again.")
    return [int(value) for value in flat]
