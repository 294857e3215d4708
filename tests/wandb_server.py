"""A server on loopback that takes what `wandb sync` sends, as far as the client needs answers to go on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_server import listening


@dataclass
class Received:
    """What came: the last upsert of each run, the bytes of each file, the summary that was streamed last, of each artifact its versions
    as they were committed: `{path in it: bytes}`."""

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)


@contextmanager
def wandb_server() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.files[self.path.removeprefix("/put/")] = self._body()
            self._send({})

        def do_POST(self) -> None:
            body = self._body()
            if self.path.endswith("/graphql"):
                asked = json.loads(body)
                self._send({"data": self._answer(asked.get("operationName"), asked.get("variables") or {})})
                return
            if "file_stream" in self.path:
                for line in json.loads(body).get("files", {}).get("wandb-summary.json", {}).get("content", ()):
                    received.summary = json.loads(line)
            self._send({})

        def _answer(self, operation: str | None, variables: dict[str, Any]) -> dict[str, Any]:
            if operation == "UpsertBucket":
                known = received.runs.setdefault(variables["name"], {})
                known.update({name: value for name, value in variables.items() if value is not None})
                project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "e"}}
                bucket = {"id": "b", "name": variables["name"], "displayName": variables["displayName"], "project": project}
                return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0, "config": variables["config"]}, "inserted": True}}
            if operation == "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{received.url}/put/{name}"} for name in variables["files"]]
                return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
            return self._of_artifacts(operation, variables)

        def _of_artifacts(self, operation: str | None, variables: dict[str, Any]) -> dict[str, Any]:
            asked = variables.get("input") or {}
            if operation == "CreateArtifact":
                artifact = {"id": f"{asked['artifactCollectionName']}:{asked['digest']}", "state": "PENDING"}
                return {"createArtifact": {"artifact": artifact | {"artifactSequence": {"latestArtifact": None}}}}
            if operation == "CreateArtifactFiles":
                nodes = []
                for file in asked["artifactFiles"]:
                    place = f"{file['artifactID']}/{file['name']}"
                    nodes.append({"node": {"uploadUrl": f"{received.url}/put/{place}", "uploadHeaders": [], "storagePath": place}})
                    nodes[-1]["node"] |= {"uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]}}
                return {"createArtifactFiles": {"files": {"edges": nodes}}}
            if operation in ("CreateArtifactManifest", "UpdateArtifactManifest"):
                place = variables.get("artifactID") or variables["artifactManifestID"]
                upload = {"uploadUrl": f"{received.url}/put/{place}/manifest", "uploadHeaders": []} if variables["includeUpload"] else {}
                key = operation[0].lower() + operation[1:]
                return {key: {"artifactManifest": {"id": place, "file": {"id": "f"} | upload}}}
            if operation == "CommitArtifact":
                place = variables["artifactID"]
                files = {path.removeprefix(f"{place}/"): bytes_ for path, bytes_ in received.files.items() if path.startswith(place)}
                received.artifacts.setdefault(place.partition(":")[0], []).append(files)
                return {"commitArtifact": {"artifact": {"id": place, "digest": place.partition(":")[2]}}}
            return {}

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _send(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler, received) as port:
        received.url = f"http://127.0.0.1:{port}"
        yield received
