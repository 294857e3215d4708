"""A hub on loopback that speaks what the real clients ask for, and fails when told to.

Revisions, trees, files with ETag, commit and ranges. Small files are served at once, large ones (`LFS_SUFFIXES`) by a redirect to another
host, as the hub does: ``localhost`` beside ``127.0.0.1``.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import datasets
import huggingface_hub
from http_server import listening
from huggingface_hub import constants
from huggingface_hub.utils import close_session

LFS_SUFFIXES = (".parquet", ".tar", ".safetensors", ".bin", ".pt")
TOKEN = "hf_loopback"
_PATH = re.compile(r"/(?P<api>api/)?(?P<kind>datasets/|models/)?(?P<name>[\w.-]+/[\w.-]+)(?P<rest>/.*)?")
Failure = Callable[["_Handler", bytes], None]


@dataclass
class Repository:
    """`files` at each commit; `branches` names the last one. `gated`: who asks must have a token, and have been let in."""

    name: str
    kind: str = "datasets"
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], sha: str | None = None) -> str:
        """Put `files` there as a new commit of main; of `sha`, or one that follows from its content."""
        made = sha or hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[made] = files
        self.branches["main"] = made
        return made

    def at(self, revision: str) -> str | None:
        """The commit that a revision stands for. As at the hub, the first digits of one are none."""
        found = self.branches.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class Hub:
    """The server and what it saw. `fail(path, seen)`: how request number `seen` of a path (from 0) fails, or None."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    fail: Callable[[str, int], Failure | None] = lambda path, seen: None
    let_in: set[str] = field(default_factory=lambda: {TOKEN})
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""
    elsewhere: str = ""

    def repository(self, name: str, kind: str = "datasets", gated: bool = False) -> Repository:
        return self.repositories.setdefault((kind, name), Repository(name, kind, gated))

    def holds(self, name: str, folder: Path, sha: str | None = None, kind: str = "datasets", gated: bool = False) -> Repository:
        """A repository of the files in `folder`."""
        made = self.repository(name, kind, gated)
        made.commit({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}, sha)
        return made

    def fetched(self, suffix: str) -> int:
        """How often a body whose path ends so was asked for."""
        return sum(method == "GET" and path.endswith(suffix) for method, path, _ in self.asked)

    def blob(self, sha256: str) -> bytes | None:
        commits = (files for repository in self.repositories.values() for files in repository.commits.values())
        contents = (content for files in commits for content in files.values())
        return next((content for content in contents if hashlib.sha256(content).hexdigest() == sha256), None)


def status(code: int, error: str | None = None, message: str = "", **headers: str) -> Failure:
    """Fail with an HTTP status, and the hub's own name of the error."""
    more = {"X-Error-Code": error} if error else {}
    more |= {"X-Error-Message": message} if message else {}
    return lambda handler, content: handler.send(code, {"error": message or error}, more | headers)


def cut_after(number: int) -> Failure:
    """Promise the whole body, send `number` bytes of it, and go away."""

    def cut(handler: _Handler, content: bytes) -> None:
        handler.send_body(content, stop_after=number)

    return cut


def damaged(handler: _Handler, content: bytes) -> None:
    """Another body of the same length."""
    handler.send_body(bytes(len(content)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_arguments: Any) -> None:
        return None

    @property
    def hub(self) -> Hub:
        found: Hub = self.server.state
        return found

    def send(self, code: int, content: Any, headers: dict[str, str] | None = None) -> None:
        raw = b"" if code == 302 else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def send_body(self, content: bytes, headers: dict[str, str] | None = None, stop_after: int | None = None) -> None:
        """A file, or the range of it that was asked for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(wanted[1]), int(wanted[2] or len(content) - 1)) if wanted else (0, len(content) - 1)
        end = min(end, len(content) - 1)
        body = content[start : end + 1]
        self.send_response(206 if wanted else 200)
        more = {"Content-Range": f"bytes {start}-{end}/{len(content)}"} if wanted else {}
        for name, value in {"Accept-Ranges": "bytes", "Content-Length": str(len(body)), **more, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if stop_after is None else body[:stop_after])
        if stop_after is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            failure = self.hub.fail(path, self.hub.seen[path])
            self.hub.seen[path] += 1
            self.hub.asked.append((self.command, path, self.headers.get("Range")))
        try:
            self._answer(path, failure)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away, as it may

    do_HEAD = do_POST = do_GET

    def _answer(self, path: str, failure: Failure | None) -> None:
        if path.startswith("/cdn/"):
            content = self.hub.blob(path.rpartition("/")[2])
            (failure or _Handler.send_body)(self, content or b"")
            return
        if failure or path == "/":
            (failure or status(200))(self, b"")
            return
        parts = _PATH.fullmatch(path)
        kind = ((parts and parts["kind"]) or "models/").strip("/")
        repository = self.hub.repositories.get((kind, parts["name"])) if parts else None
        if parts is None or repository is None:
            status(401, "RepoNotFound", "Repository not found")(self, b"")  # the hub does not say whether it is private
        elif parts["api"]:
            self._api(repository, parts["rest"] or "")
        else:
            self._resolve(repository, parts["rest"] or "")

    def _shut(self, repository: Repository) -> bool:
        """Whether who asks is kept out of a gated repository, and has been told."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not repository.gated or token in self.hub.let_in:
            return False
        told = "is restricted. You must have access to it and be authenticated to access it. Please log in."
        status(403 if token else 401, "GatedRepo", f"Access to dataset {repository.name} {told}")(self, b"")
        return True

    def _api(self, repository: Repository, rest: str) -> None:
        action, _, more = rest.strip("/").partition("/")
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        revision, _, below = more.partition("/")
        revision = revision or "main"
        sha = repository.at(revision)
        if sha is None:
            status(404, "RevisionNotFound", f"Invalid rev id: {revision}")(self, b"")
            return
        files = repository.commits[sha]
        if action in ("", "revision"):
            about = {"id": repository.name, "sha": sha, "gated": "auto" if repository.gated else False, "private": False, "tags": []}
            self.send(200, about | {"siblings": [{"rfilename": name} for name in files]})
        elif action == "commits":
            told = {"title": "", "message": "", "authors": [], "date": "2024-01-01T00:00:00.000Z"}
            self.send(200, [{"id": commit, **told} for commit in reversed(repository.commits)])
        elif action == "refs":
            branches = [{"name": name, "ref": name, "targetCommit": commit} for name, commit in repository.branches.items()]
            self.send(200, {"branches": branches, "tags": [], "converts": []})
        elif action == "tree":
            if not self._shut(repository):
                self._tree(files, below)
        elif action == "paths-info":
            wanted = json.loads(raw)["paths"] if raw.startswith(b"{") else parse_qs(raw.decode())["paths"]
            entries = _entries(files)
            self.send(200, [entries[path] for path in wanted if path in entries])
        else:
            status(404, None, "no such page")(self, b"")

    def _tree(self, files: dict[str, bytes], below: str) -> None:
        prefix = f"{below}/" if below else ""
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
        inside = {path: entry for path, entry in _entries(files).items() if path.startswith(prefix)}
        if below and not inside:
            status(404, "EntryNotFound", f"{below} does not exist")(self, b"")
            return
        self.send(200, [entry for path, entry in inside.items() if recursive or "/" not in path[len(prefix) :]])

    def _resolve(self, repository: Repository, rest: str) -> None:
        _, _, place = rest.partition("/resolve/")
        revision, _, path = place.partition("/")
        sha = repository.at(revision)
        commit = {"X-Repo-Commit": sha or ""}
        if sha is None:
            status(404, "RevisionNotFound", f"Invalid rev id: {revision}")(self, b"")
        elif not self._shut(repository):
            content = repository.commits[sha].get(path)
            if content is None:
                status(404, "EntryNotFound", "Entry not found", **commit)(self, b"")
            elif path.endswith(LFS_SUFFIXES):
                digest = hashlib.sha256(content).hexdigest()
                linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
                self.send(302, None, commit | linked | {"Location": f"{self.hub.elsewhere}/cdn/{quote(path)}/{digest}"})
            else:
                self.send_body(content, commit | {"ETag": f'"{_blob_id(content)}"'})


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entries(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Files and the folders above them, as the hub lists them."""
    folders = {str(above) for path in files for above in Path(path).parents if str(above) != "."}
    found: dict[str, dict[str, Any]] = {
        path: {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path} for path in sorted(folders)
    }
    for path, content in files.items():
        found[path] = {"type": "file", "oid": _blob_id(content), "size": len(content), "path": path}
        if path.endswith(LFS_SUFFIXES):
            found[path]["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return found


@contextmanager
def serving() -> Iterator[Hub]:
    """The hub, on a free port of loopback, for as long as the block lasts."""
    hub = Hub()
    with listening(_Handler, hub) as port:
        hub.url, hub.elsewhere = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
        yield hub


def use(hub: Hub, cache: Path, monkeypatch: Any) -> None:
    """What ``HF_ENDPOINT``, ``HF_HUB_OFFLINE=0`` and ``HF_HOME`` would say, of libraries that read them once, when imported."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "datasets")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)  # of processes that are started
    monkeypatch.setenv("HF_HOME", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    offline(monkeypatch, False)


def offline(monkeypatch: Any, yes: bool = True) -> None:
    """``HF_HUB_OFFLINE``, as `use` sets the others."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", yes)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", yes)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1" if yes else "0")
    close_session()  # whose hooks remember
    huggingface_hub.HfFileSystem.clear_instance_cache()
