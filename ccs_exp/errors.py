"""The one exception that reaches a user as a paragraph instead of a traceback, and the paragraph about an error of the system."""

from __future__ import annotations

import errno
import os

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PLACES = "results (hydra.run.dir=DIR), the store (environment variable CCS_EXP_CACHE) or temporary files (TMPDIR)"


class CcsError(Exception):
    """Something the user can mend: the message says what was asked, what exists and what to type next."""


class NotHere(CcsError):
    """What has to be fetched and cannot be now: without network, or because who has it does not answer."""


def system_error(error: OSError) -> str:
    """A paragraph that names the file or the variable that an error of the system is about, and what to do."""
    reason = error.strerror or str(error) or type(error).__name__
    try:
        os.getcwd()
    except OSError:
        return "The working directory is not there any more. Type cd DIR with a folder that exists, and start again from there."
    if error.errno in _NO_ROOM:
        where = f"{error.filename}: {reason}" if error.filename is not None else reason
        return f"{where}. Free some space, or choose another place for {_PLACES}."
    if error.filename is None:
        return f"The system refused something without naming a file: {reason}. HYDRA_FULL_ERROR=1 before the command shows where."
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return f"{error.filename}: {reason}. Check the name; relative names count from {os.getcwd()}."
    return f"{error.filename}: {reason}. Make it accessible, or choose another place: for {_PLACES}."
