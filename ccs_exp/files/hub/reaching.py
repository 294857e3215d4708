"""Errors of the hub's clients as one paragraph that names the way out."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging

from ccs_exp.errors import CcsError, NotHere

logging.set_verbosity_error()  # its retries are not the user's news; the error at the end is

Kind = Literal["dataset", "model"]
_TRIES_AGAIN = "The same command goes on where this one stopped."


@contextmanager
def reaching(repository: str, kind: Kind, instead: str = "") -> Iterator[None]:
    """Around whatever asks the hub for a repository; `instead` is what else the user can do where it cannot be had.

    Raises `CcsError`; `NotHere` where another day, or another machine, could fetch it.
    """
    try:
        yield
    except (OSError, ValueError, HTTPError, tarfile.TarError) as error:
        chain = list(_chain(error))
        told, error_type = _told(chain, repository, page(repository, kind))
        raise error_type(f"{repository} cannot be loaded from the hub {told}{f' {instead}' if instead else ''}") from error


def page(repository: str, kind: Kind) -> str:
    return f"huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repository}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told(chain: list[BaseException], repository: str, where: str) -> tuple[str, type[CcsError]]:
    """What happened and what to do, and the error to raise."""
    responses = [item.response for item in chain if isinstance(item, HfHubHTTPError) and item.response is not None]
    codes, waits = [answer.status_code for answer in responses], [answer.headers.get("Retry-After") for answer in responses]

    def is_any(*kinds: type[BaseException]) -> bool:
        return any(isinstance(item, kinds) for item in chain)

    if is_any(GatedRepoError) and 403 in codes:
        return f"(it is gated, and your account has not been let in). Accept its terms at {where} with the account of your token.", CcsError
    if is_any(GatedRepoError):
        return f"(it is gated). Accept its terms at {where} and log in with `hf auth login`, or set HF_TOKEN.", CcsError
    if is_any(RevisionNotFoundError):
        return f"(it has no such revision). Its revisions are listed at {where}/commits/main.", CcsError
    if is_any(RepositoryNotFoundError):
        way_out = f"Check the name at {where}, and log in with `hf auth login` if it is yours."
        return f"(there is none of that name, or it is private). {way_out}", CcsError
    if 429 in codes:
        wait = next((f"in {seconds} s" for seconds in waits if seconds), "in some minutes")
        return f"(too many requests). Try again {wait}; after `hf auth login` the limit is higher. {_TRIES_AGAIN}", NotHere
    if constants.HF_HUB_OFFLINE and is_any(OfflineModeIsEnabled, LocalEntryNotFoundError):
        return "(HF_HUB_OFFLINE is set, and it is not in the hub's cache, or not whole).", NotHere
    if is_any(EntryNotFoundError) and not is_any(LocalEntryNotFoundError):
        return f"(it lacks a file that is asked for). Its files are listed at {where}/tree/main.", CcsError
    reason = " ".join(str(chain[0]).split())[:200]
    return f"({type(chain[0]).__name__}: {reason}). {_TRIES_AGAIN}", NotHere
