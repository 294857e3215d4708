"""Decoded, resized and cropped images kept between passes over one data set, as a file of records that processes share."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import parted
from ccs_exp.data.images.source import ImageSource, Sample
from ccs_exp.errors import CcsError
from ccs_exp.files import abandoned_parts, aside_of, write_whole
from ccs_exp.store import cache_dir, folder_state

log = logging.getLogger(__name__)

_LAYOUT = 2  # of a record; another number makes other files
_LONGEST_ID = 256  # bytes; a sample with a longer identifier is decoded every time


class PixelStore:
    """A record for each image of a source: its pictures as they are before they become numbers.

    A record is used only if its checksum says that it is whole, so that a killed job leaves nothing wrong, and the next goes on where
    it stopped. Jobs side by side write the same bytes.

    Args:
        path: of the file, ``.npy``; what its content depends on stands beside it, in ``.json``.
        key: all that the pictures depend on.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], count: int, size: tuple[int, int], tasks: int = 1):
        self.path, self.key, self.count = path, key, count
        self._record = np.dtype([("crc", "<u4"), ("targets", "<i8", (tasks,)), ("id", f"S{_LONGEST_ID}"), ("picture", "u1", (*size, 3))])

    def prepare(self) -> bool:
        """Make the file, its whole space taken at once; False, with a warning, where it cannot be made."""
        try:
            self._remove_left_over()
            if not self.path.exists():
                choose = "the environment variable CCS_EXP_CACHE"
                write_whole(
                    self.path.with_suffix(".json"), json.dumps(self.key, indent=1, sort_keys=True).encode(), choose=choose
                )
                self._create()
            if self._records.shape != (self.count,) or self._records.dtype != self._record:
                raise ValueError("it is no file of such records; remove it")
            return True
        except (CcsError, OSError, ValueError) as error:
            log.warning("Decoded images are not kept in %s: %s", self.path, " ".join(str(error).split()))
            return False

    def _remove_left_over(self) -> None:
        """What processes that were killed while they made the file have left."""
        for part in abandoned_parts(self.path.parent):
            if part.name.startswith(f".{self.path.name}."):
                part.unlink(missing_ok=True)

    def _create(self) -> None:
        aside = aside_of(self.path)
        try:
            np.lib.format.open_memmap(aside, "w+", self._record, (self.count,)).flush()
            if hasattr(os, "posix_fallocate"):  # a full disk must be an error now, not a crash later
                with open(aside, "r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, aside.stat().st_size)
            os.replace(aside, self.path)
        finally:
            aside.unlink(missing_ok=True)

    @cached_property
    def _records(self) -> np.memmap:
        return np.lib.format.open_memmap(self.path, "r+")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_records"}  # a process opens its own

    def get(self, index: int) -> Sample | None:
        """The kept image, or None."""
        record = self._records[index]
        if not record["crc"] or record["crc"] != _checksum(record):
            return None
        targets = tuple(record["targets"].tolist())
        identifier = record["id"].decode("utf-8", "surrogatepass")
        return Sample(identifier, Image.fromarray(np.array(record["picture"])), targets if len(targets) > 1 else targets[0])

    def put(self, index: int, sample: Sample) -> None:
        """Keep an image, unless its shape or its identifier has no place in a record."""
        picture, identifier = np.asarray(sample.image), sample.sample_id.encode("utf-8", "surrogatepass")
        record = self._records[index]
        if picture.shape != record["picture"].shape or len(identifier) > _LONGEST_ID or identifier.endswith(b"\0"):
            return
        record["crc"] = 0
        record["picture"], record["id"], record["targets"] = picture, identifier, sample.target
        record["crc"] = _checksum(record)


def pixel_store(configuration: Mapping[str, Any], source: ImageSource, model: ClipModel) -> PixelStore | None:
    """Where decoded images of `source` are kept: under its configuration, the state of its files, and the steps of the preprocessing.

    None for sources that draw or hold their images, and, with a warning, where there is no room.
    """
    if source.one_process:
        return None
    path, tasks = configuration.get("path"), source.tasks
    key = {
        "layout": _LAYOUT,
        "source": configuration,
        "classes": {name: list(classes) for name, classes in tasks.items()} if tasks else list(source.class_names),
        "files": folder_state(Path(path).expanduser()) if path else None,
        "images": len(source),
        "steps": [str(step) for step in parted(model.transform)[0].transforms],
        "size": list(model.image_size),
        "pillow": PIL.__version__,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    store = PixelStore(cache_dir() / "pixels" / f"{digest}.npy", key, len(source), model.image_size, len(tasks or (0,)))
    return store if store.prepare() else None


def _checksum(record: np.void) -> int:
    """Never 0, which marks an empty record."""
    crc = zlib.crc32(record["picture"])
    crc = zlib.crc32(record["targets"].tobytes() + record["id"], crc)
    return crc or 1
