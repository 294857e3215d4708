"""``ccs-exp verify-hub``: is the hub as ``conf/dataset`` and ``conf/probe`` record it? Needs the network."""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow.parquet
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from omegaconf import OmegaConf

from ccs_exp.config.schema import config_dir, configure
from ccs_exp.data.published.classes import class_table
from ccs_exp.data.published.hub import HubSource
from ccs_exp.data.published.tars import CLASS_NAMES_FILE, SHARD_COUNT_FILE, TEMPLATES_FILE
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines, read_yaml
from ccs_exp.files.hub import full_commit


@dataclass(frozen=True)
class Row:
    """One data set or probe as recorded; None is what its file does not say."""

    name: str
    hub: HubSource
    samples: int | None
    classes: str | None
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """What the hub shows at a row's revision; None is what cannot be seen without downloading everything."""

    commit: str
    files: list[str]
    scripts: list[str] = field(default_factory=list)
    columns: list[str] | None = None
    samples: int | None = None
    class_names: list[str] | None = None
    templates: list[str] | None = None
    shard_count: int | None = None


def recorded() -> list[Row]:
    """Every data set and probe whose own file names files of the hub (a part of another data set takes that one's)."""
    files = [path for group in ("dataset", "probe") for path in sorted(Path(config_dir(), group).glob("*.yaml"))]
    return [_row(path.parent.name, path.stem) for path in files if "hub" in (read_yaml(path).get("source") or {})]


def _row(group: str, name: str) -> Row:
    node: Any = OmegaConf.to_container(configure(f"{group}={name}")[group], resolve=True)
    source = dict(node["source"])
    hub = HubSource(**{key: value for key, value in source["hub"].items() if key != "_target_"})
    return Row(name, hub, hub.samples or source.get("samples"), source.get("classes"), tuple(node.get("templates", ())))


def differences(row: Row, seen: Seen) -> list[str]:
    """What at the hub is not as recorded; empty if all is."""
    found = []
    if re.fullmatch("[0-9a-f]{7,40}", row.hub.revision) and not seen.commit.startswith(row.hub.revision):  # a branch moves
        found.append(f"revision {row.hub.revision} stands for {seen.commit}")
    if not seen.files:
        found.append(f"no file matches {row.hub.files}")
    elif row.hub.num_files is not None and len(seen.files) != row.hub.num_files:
        found.append(f"{len(seen.files)} files match {row.hub.files}, recorded are {row.hub.num_files}")
    if seen.shard_count is not None and seen.shard_count != len(seen.files):
        found.append(f"{SHARD_COUNT_FILE} says {seen.shard_count} shards, there are {len(seen.files)}")
    if seen.scripts:
        found.append(f"it has scripts: {', '.join(seen.scripts)}")
    if seen.columns is not None:
        missing = [name for name in (row.hub.image_column, row.hub.label_column) if name and name not in seen.columns]
        if missing:
            found.append(f"no {' or '.join(missing)} among {', '.join(seen.columns)}")
    if seen.samples is not None and row.samples is not None and seen.samples != row.samples:
        found.append(f"{seen.samples:,} samples, recorded are {row.samples:,}")
    if seen.class_names is not None and row.classes and not row.hub.numbered:
        try:
            class_table(row.classes).order_of(seen.class_names, "the hub")
        except CcsError as error:
            found.append(str(error))
    if seen.templates is not None and tuple(seen.templates) != row.templates:
        found.append(f"{TEMPLATES_FILE} has other templates than dataset={row.name}")
    return found


def look(row: Row) -> Seen:
    """Ask the hub. Only headers and small files are fetched, so the samples in tars are not counted (loading counts them)."""
    revision = full_commit(row.hub.wanted)
    info = huggingface_hub.HfApi().dataset_info(row.hub.repository, revision=revision)
    names = [item.rfilename for item in info.siblings or []]
    files = sorted(name for name in names if fnmatch.fnmatchcase(name, row.hub.files))
    seen: dict[str, Any] = {"commit": info.sha, "files": files, "scripts": [name for name in names if name.endswith(".py")]}
    folder = huggingface_hub.HfFileSystem()
    paths = [f"datasets/{row.hub.repository}@{revision}/{name}" for name in files]
    if row.hub.is_tars and files:
        seen["columns"] = _columns_of_tar(folder, paths[0])
        if CLASS_NAMES_FILE in names:  # captioned sets have none
            seen["class_names"] = _lines(row, revision, CLASS_NAMES_FILE)
            seen["templates"] = [line.replace("{c}", "{}") for line in _lines(row, revision, TEMPLATES_FILE)]
        seen["shard_count"] = int(_lines(row, revision, f"{Path(row.hub.files).parent}/{SHARD_COUNT_FILE}")[0])
    elif files:
        footers = [_footer(folder, path) for path in paths]
        seen["samples"] = sum(footer.num_rows for footer in footers)
        seen |= _columns_of_parquet(footers[0], row.hub.label_column)
    return Seen(**seen)


def main(arguments: Sequence[str] = ()) -> int:
    """Print a line for each row; 0: all as recorded, 1: something differs, 2: the hub cannot be reached."""
    description = "Is the hub as conf/dataset and conf/probe record it? Needs the network."
    argparse.ArgumentParser(prog="ccs-exp verify-hub", description=description).parse_args(arguments)
    differing = 0
    for row in recorded():
        where = f"{row.name}: {row.hub.repository}@{row.hub.revision}"
        try:
            seen = look(row)
        except HfHubHTTPError as error:
            found = [f"the hub answers {' '.join(str(error).split())[:200]}"]
        except (OSError, HTTPError) as error:
            reason = " ".join(str(error).split())[:200]
            print(f"The hub cannot be reached ({type(error).__name__}: {reason}). Nothing was verified.", file=sys.stderr)
            return 2
        except (CcsError, ValueError) as error:
            found = [str(error)]
        else:
            found = differences(row, seen)
            if seen.commit != row.hub.revision:
                where += f" (spelt out: {seen.commit})"
        differing += bool(found)
        print("\n".join([f"{'DIFFERS' if found else 'ok':8}{where}", *(f"          {difference}" for difference in found)]))
    return 1 if differing else 0


def _lines(row: Row, revision: str, name: str) -> list[str]:
    file = huggingface_hub.hf_hub_download(row.hub.repository, name, repo_type="dataset", revision=revision)
    return read_lines(Path(file))


def _columns_of_tar(folder: huggingface_hub.HfFileSystem, path: str) -> list[str]:
    """The suffixes of the first sample's members."""
    with folder.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
        first = tar.next()
        second = tar.next()
        return [Path(member.name).suffix.lstrip(".") for member in (first, second) if member]


def _footer(folder: huggingface_hub.HfFileSystem, path: str) -> pyarrow.parquet.FileMetaData:
    with folder.open(path, "rb") as file:
        return pyarrow.parquet.ParquetFile(file).metadata


def _columns_of_parquet(footer: pyarrow.parquet.FileMetaData, label_column: str) -> dict[str, list[str] | None]:
    """The columns, and the names that the `datasets` library stored for the label's numbers."""
    schema = footer.schema.to_arrow_schema()
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    label = stored.get("info", {}).get("features", {}).get(label_column, {})
    return {"columns": schema.names, "class_names": label.get("names")}
