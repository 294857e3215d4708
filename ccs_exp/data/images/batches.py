"""A collection of images as batches of pixels, for Lightning."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ccs_exp.clip.preprocessing import ToPixels, has_steps, parted
from ccs_exp.compute.decoders import DecodingLoader
from ccs_exp.compute.processes import in_order
from ccs_exp.compute.shared_pass import SharedData
from ccs_exp.data.images.pixel_store import PixelStore
from ccs_exp.data.images.source import ImageSource, Sample, UnreadableImage
from ccs_exp.errors import CcsError
from ccs_exp.files import some

OnError = Literal["raise", "skip"]
_MOST_WORKERS = 16  # more than that, and moving pixels between processes is what takes time


class ImageBatch(NamedTuple):
    """`pixels` ``[batch, 3, height, width]``, `targets` ``[batch]``; `skipped` says what could not be decoded, and why.

    `digests` are equal where pixels are, and empty for images of one colour.
    """

    pixels: Tensor
    targets: Tensor
    sample_ids: list[str]
    skipped: list[str]
    digests: Sequence[bytes] = ()


class _Seen(NamedTuple):
    """What is remembered of a batch."""

    skipped: list[str]
    samples: list[tuple[str, Any, bytes]]  # identifier, target, digest


class ImageData(SharedData):
    """Batches of a source's images, in its order, each image exactly once; of several processes, each has every n-th batch (`share`).

    Args:
        limit: at most that many images, drawn evenly from the whole collection with a fixed seed.
        on_error: `skip` leaves undecodable images out and lists them in `skipped`; `raise` stops with `CcsError`.
        num_workers: decoding processes; by default none for sources of one process.
        pixel_store: keeps decoded images between passes; `transform` is then in two parts, to the picture and on to its numbers.
    """

    def __init__(
        self,
        source: ImageSource,
        transform: Callable[[Image.Image], Tensor],
        *,
        batch_size: int = 64,
        limit: int | None = None,
        on_error: OnError = "raise",
        num_workers: int | None = None,
        pixel_store: PixelStore | None = None,
    ):
        super().__init__()
        if limit is not None and limit < 1:
            raise CcsError(f"A limit of {limit} leaves no image; give a number of at least 1.")
        self.source, self.batch_size, self.on_error = source, batch_size, on_error
        self._seen: list[_Seen] = []  # of each batch
        self.indices = _subset(len(source), limit)
        self.num_workers = default_workers(source.one_process) if num_workers is None else num_workers
        self._dataset = _Decoded(source, transform, self.indices, pixel_store)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def skipped(self) -> list[str]:
        """What could not be decoded in the latest pass, and why, in the order of the images."""
        return [reason for batch in self._seen for reason in batch.skipped]

    @skipped.setter
    def skipped(self, reasons: Sequence[str]) -> None:
        """What an earlier pass, whose result is taken instead of another one, could not decode."""
        self._seen = [_Seen(list(reasons), [])]

    def oddities(self) -> list[str]:
        """What a reader of the latest pass's results must be told of its images: where a plausible number would mean little."""
        samples = [sample for batch in self._seen for sample in batch.samples]
        first: dict[bytes, tuple[str, Any]] = {}
        again, elsewhere = [], 0
        for name, target, digest in samples:
            if digest and digest in first:
                again.append(f"{name} = {first[digest][0]}")
                elsewhere += first[digest][1] != target
            first.setdefault(digest, (name, target))
        plain = [name for name, _, digest in samples if not digest]
        told = [
            (plain, f"{len(plain):,} of {len(samples):,} images are of one colour: {some(plain)}."),
            (again, f"{len(again):,} of {len(samples):,} images repeat others, {elsewhere:,} of them in another class: {some(again)}."),
        ]
        return [text for found, text in told if found]

    def test_dataloader(self) -> DataLoader:
        self._seen = []
        return DecodingLoader(
            self._dataset,
            batch_sampler=self._batches(),
            num_workers=self.num_workers,
            collate_fn=self._dataset.collate,
            pin_memory=torch.cuda.is_available(),
        )

    def on_before_batch_transfer(self, batch: ImageBatch, dataloader_idx: int) -> ImageBatch:
        # here, and not where images are decoded, because an error raised in a worker arrives wrapped in its traceback
        if batch.skipped and self.on_error == "raise":
            raise CcsError(
                f"{batch.skipped[0]} Mend or remove the file, or leave such images out and count them with on_error=skip."
            )
        samples = zip(batch.sample_ids, batch.targets.tolist(), batch.digests, strict=True)
        self._seen.append(_Seen(batch.skipped, list(samples)))
        return batch

    def share_result(self) -> list[_Seen]:
        return self._seen

    def combine_shares(self, results: Sequence[list[_Seen]]) -> None:
        self._seen = in_order(results)

    def _batches(self) -> list[list[int]]:
        """The positions of the samples of each batch of this process's share."""
        whole, size = range(len(self._dataset)), self.batch_size
        return [list(whole[batch * size : (batch + 1) * size]) for batch in self.share.parts(-(-len(whole) // size))]


def default_workers(one_process: bool) -> int:
    """Decoding processes: none for sources of one process, else one for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if one_process else min(_MOST_WORKERS, cores)


def _subset(size: int, limit: int | None) -> Sequence[int]:
    if limit is None or limit >= size:
        return range(size)
    return sorted(np.random.default_rng(0).permutation(size)[:limit].tolist())


class _Decoded(Dataset):
    """Decoded samples: as pictures where `transform` is made of steps, else as pixels; in the place of an undecodable one, the reason."""

    def __init__(self, source: ImageSource, transform: Callable, indices: Sequence[int], pixel_store: PixelStore | None):
        self.source, self.indices, self.pixel_store = source, indices, pixel_store
        self.to_picture: Callable[[Image.Image], Any] = transform  # to an image, or to pixels
        self.to_pixels: ToPixels | None = None
        if pixel_store or has_steps(transform):
            self.to_picture, last = parted(transform)
            self.to_pixels = ToPixels(last)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample | str:
        try:
            return self._read(self.indices[position])
        except UnreadableImage as error:
            return str(error)

    def _read(self, index: int) -> Sample:
        kept = self.pixel_store.get(index) if self.pixel_store else None
        if kept is not None:
            return kept
        sample = self.source[index]
        sample = sample._replace(image=self.to_picture(sample.image))
        if self.pixel_store and isinstance(sample.image, Image.Image):
            self.pixel_store.put(index, sample)
        return sample

    def collate(self, samples: list[Sample | str]) -> ImageBatch:
        skipped = [sample for sample in samples if isinstance(sample, str)]
        decoded = [sample for sample in samples if not isinstance(sample, str)]
        if not decoded:
            return ImageBatch(torch.empty(0), torch.empty(0, dtype=torch.long), [], skipped, [])
        sample_ids, pictures, targets = zip(*decoded, strict=True)
        pixels = self._pixels(pictures)
        return ImageBatch(pixels, torch.tensor(targets), list(sample_ids), skipped, [_digest(image) for image in pixels])

    def _pixels(self, pictures: Sequence[Image.Image | Tensor]) -> Tensor:
        """One batch, each picture's numbers written once, in a decoding process where the process that asks will find them."""
        first = pictures[0]
        pixels = _room(len(pictures), *(first.shape if isinstance(first, Tensor) else (3, first.height, first.width)))
        for picture, place in zip(pictures, pixels, strict=True):
            if isinstance(picture, Tensor):
                place.copy_(picture)
            else:
                assert self.to_pixels is not None  # what is not made of steps has given pixels
                self.to_pixels.write(picture, place)
        return pixels


def _room(*shape: int) -> Tensor:
    """A batch's memory, shared where a decoding process fills it, as in `torch.utils.data.default_collate`: so it is not copied."""
    room = torch.empty(0)
    if get_worker_info() is not None:
        room.set_(torch.UntypedStorage._new_shared(4 * math.prod(shape)), 0, shape)  # type: ignore[call-overload]
    return room.resize_(shape)


def _digest(pixels: Tensor) -> bytes:
    """Of an image's pixels ``[3, height, width]``: of some 64 x 64 of them, which two pictures hardly share; nothing if all are equal."""
    every = max(1, min(pixels.shape[-2:]) // 64)
    some_of_them = pixels[..., ::every, ::every].contiguous()
    flat = bool((some_of_them == some_of_them[..., :1, :1]).all()) and bool((pixels == pixels[..., :1, :1]).all())
    return b"" if flat else hashlib.blake2b(some_of_them.numpy().data, digest_size=16).digest()
