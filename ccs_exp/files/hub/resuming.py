"""Large files of the hub, fetched so that a later job goes on where an earlier one stopped, and checked before they count.

The hub's own client goes on within one call, but throws away what a process that ended has brought, and compares sizes alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import build_hf_headers

from ccs_exp.errors import CcsError
from ccs_exp.files.hub.reaching import Kind, page

_AT_ONCE = 4


def resume(repository: str, kind: Kind, commit: str, files: Sequence[huggingface_hub.RepoFile]) -> None:
    """Bring the large ones of `files` into the hub's cache, under their SHA-256, where its client looks before it fetches.

    Raises `CcsError` for a file that came damaged, which is removed, and what the hub's client raises.
    """
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type=kind) / "blobs"
    large = {item.lfs.sha256: item for item in files if item.lfs is not None and not (blobs / item.lfs.sha256).exists()}
    if not large:
        return
    blobs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(_bring, repository, kind, commit, item, blobs / sha256) for sha256, item in large.items()]:
            done.result()


def _bring(repository: str, kind: Kind, commit: str, item: huggingface_hub.RepoFile, blob: Path) -> None:
    partial = blob.with_suffix(".partial")
    with filelock.FileLock(blob.with_suffix(".lock")):
        if blob.exists():
            return  # another process has brought it meanwhile
        url = huggingface_hub.hf_hub_url(repository, item.path, repo_type=kind, revision=commit)
        location = huggingface_hub.get_hf_file_metadata(url, retry_on_errors=True).location
        own = urlsplit(location).netloc == urlsplit(url).netloc
        with partial.open("ab") as file:  # a token is for the hub alone, not for the host that keeps its files
            headers = build_hf_headers() if own else {}
            http_get(location, file, resume_size=file.tell(), headers=headers, expected_size=item.size, displayed_filename=item.path)
        with partial.open("rb") as content:
            whole = hashlib.file_digest(content, "sha256").hexdigest() == blob.name
        if not whole:
            partial.unlink()
            raise CcsError(
                f"{item.path} of {page(repository, kind)} came damaged: its checksum is not the hub's. It was removed; the same command "
                "fetches it again."
            )
        os.replace(partial, blob)
