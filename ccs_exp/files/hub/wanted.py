"""What a job wants of a repository: how much of it is missing here, and fetching that."""

from __future__ import annotations

import fnmatch
import functools
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import CachedRepoTreeNotFoundError, HTTPError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import get_session

from ccs_exp.errors import CcsError, NotHere
from ccs_exp.files.hub.reaching import Kind, page, reaching
from ccs_exp.files.hub.resuming import resume

_ANSWERS_WITHIN = 10  # seconds
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Wanted(NamedTuple):
    """Files of a repository at a revision: a commit, whole or its first digits, or a branch. `patterns` are as in a shell.

    `instead`: what the user can do where they cannot be had.
    """

    repository: str
    kind: Kind
    revision: str
    patterns: tuple[str, ...]
    instead: str = ""

    @property
    def page(self) -> str:
        return page(self.repository, self.kind)


class Missing(NamedTuple):
    """How many files, of how many bytes together, are not in the hub's cache."""

    files: int
    size: int


def place() -> str:
    """The hub's cache."""
    return constants.HF_HUB_CACHE


def full_commit(wanted: Wanted) -> str:
    """The revision, with a commit given by its first digits spelt out: from the hub's cache, or else its list of commits."""
    if not re.fullmatch(r"[0-9a-f]{7,39}", wanted.revision):
        return wanted.revision
    known = [path.name for path in (_folder(wanted) / "snapshots").glob("*")]
    if not any(name.startswith(wanted.revision) for name in known):
        with reaching(wanted.repository, wanted.kind, wanted.instead):
            known = [item.commit_id for item in huggingface_hub.HfApi().list_repo_commits(wanted.repository, repo_type=wanted.kind)]
    for name in known:
        if name.startswith(wanted.revision):
            return name
    raise CcsError(f"{wanted.repository} has no commit that begins with {wanted.revision}. `make verify-hub` says what is there now.")


def commit_here(wanted: Wanted) -> str | None:
    """The commit that the revision stands for in the hub's cache; None where it is not there."""
    snapshot = _snapshot(wanted)
    return snapshot.name if snapshot else None


def names_at(wanted: Wanted) -> dict[str, int]:
    """Names and sizes of all files of the revision; where the hub is not to be reached, those in its cache."""
    try:
        return {item.path: item.size for item in _tree(wanted)}
    except NotHere:
        snapshot = _snapshot(wanted)
        if snapshot is None:
            raise
        return {name: (snapshot / name).stat().st_size for name in _names_in(snapshot)}


def missing(wanted: Wanted) -> Missing | None:
    """What `fetch` would have to bring; None where that cannot be told, because the hub is not to be reached or does not let in."""
    try:
        absent = _absent(wanted)
    except CcsError:
        return None
    return Missing(len(absent), sum(item.size for item in absent))


def fetch(wanted: Wanted) -> Path:
    """The folder in the hub's cache that holds the files; those that are missing are fetched, or what is left of them.

    Raises `CcsError` where they cannot be had, there is no room for them, or one came damaged: that one is removed.
    """
    try:
        absent = _absent(wanted)
    except NotHere:
        absent = []  # perhaps all is in the cache
    size, free = sum(item.size for item in absent), shutil.disk_usage(_existing(Path(place())))[2]
    if size > free:
        raise CcsError(
            f"{wanted.repository} needs {size / 1e9:.2f} GB in {place()}, and {free / 1e9:.2f} GB are free. Free some space, or choose "
            "another place with HF_HOME=DIR."
        )
    commit = full_commit(wanted)
    with reaching(wanted.repository, wanted.kind, wanted.instead):
        resume(wanted.repository, wanted.kind, commit, absent)
        folder = huggingface_hub.snapshot_download(
            wanted.repository, repo_type=wanted.kind, revision=commit, allow_patterns=list(wanted.patterns)
        )
    if not any(_matches(name, wanted.patterns) for name in _names_in(Path(folder))):
        raise NotHere(
            f"{wanted.repository} cannot be loaded from the hub: none of its files {', '.join(wanted.patterns)} is in the hub's cache. "
            f"{wanted.instead}"
        )
    return Path(folder)


@functools.cache
def _no_answer(endpoint: str) -> str | None:
    """Why the hub does not answer, asked once: the hub's client would try for half a minute, for every repository."""
    if constants.HF_HUB_OFFLINE:
        return None  # the client says so itself
    try:
        get_session().head(endpoint, timeout=_ANSWERS_WITHIN)
    except (HTTPError, OSError) as error:
        return f"{endpoint} does not answer: {type(error).__name__}"
    return None


def _tree(wanted: Wanted) -> list[huggingface_hub.RepoFile]:
    silent = _no_answer(constants.ENDPOINT)
    if silent:
        raise NotHere(f"{wanted.repository} cannot be loaded from the hub ({silent}). {wanted.instead}")
    with reaching(wanted.repository, wanted.kind, wanted.instead):
        tree = huggingface_hub.HfApi().list_repo_tree(
            wanted.repository, recursive=True, revision=full_commit(wanted), repo_type=wanted.kind
        )
        return [item for item in tree if isinstance(item, huggingface_hub.RepoFile)]


def _absent(wanted: Wanted) -> list[huggingface_hub.RepoFile]:
    """The files that are not in the hub's cache. Of a commit that is whole there the hub is not asked."""
    snapshot = _snapshot(wanted)
    if snapshot is not None and _COMMIT.fullmatch(full_commit(wanted)):
        with suppress(CachedRepoTreeNotFoundError):  # the hub's client keeps the list of a commit's files
            known = huggingface_hub.get_cached_repo_tree(wanted.repository, repo_type=wanted.kind, revision=snapshot.name)
            if all((snapshot / item.path).is_file() for item in known if _matches(item.path, wanted.patterns)):
                return []
    wanted_files = (item for item in _tree(wanted) if _matches(item.path, wanted.patterns))
    return [item for item in wanted_files if snapshot is None or not (snapshot / item.path).is_file()]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _folder(wanted: Wanted) -> Path:
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=wanted.repository, repo_type=wanted.kind)


def _snapshot(wanted: Wanted) -> Path | None:
    """The folder of the revision in the hub's cache, if there is one; of a branch, that of the commit that it last stood for."""
    folder = _folder(wanted)
    found = [path.name for path in (folder / "snapshots").glob("*") if path.name.startswith(wanted.revision)]
    branch = folder / "refs" / wanted.revision
    commit = found[0] if found else branch.read_text().strip() if branch.is_file() else ""
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and snapshot.is_dir() else None


def _names_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
