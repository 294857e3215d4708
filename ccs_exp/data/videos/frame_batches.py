"""Videos as one flat stream of frames, in batches of one size, for Lightning."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ccs_exp.compute.decoders import DecodingLoader
from ccs_exp.compute.shared_pass import SharedData
from ccs_exp.data.images.batches import OnError, default_workers
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.errors import CcsError


class FrameBatch(NamedTuple):
    """`pixels` ``[batch, 3, height, width]`` and for each frame the index of its `videos` ``[batch]``.

    A frame's identifier is ``<video>#<its number among the video's frames>``.
    """

    pixels: Tensor
    videos: Tensor
    frame_ids: list[str]


class FrameData(SharedData):
    """The frames of all videos, in order, in batches that do not end where a video does.

    Videos come in groups of so many that their frames fill whole batches; of several processes, each has every n-th group (`share`).
    Every batch but the last has exactly `batch_size` frames, unless a video of its group cannot be decoded: then the group's last is
    shorter. So batches depend on the configuration and the videos alone, not on the number of workers or of processes. Videos are
    decoded side by side, each by one worker.

    Args:
        frames: of each video.
        shuffled: in a random order, which a video's name decides.
        on_error: `skip` leaves undecodable videos without frames, lists why in `skipped` and their indices in `unreadable`; `raise`
            stops with `CcsError`.
        num_workers: decoding processes; by default none for drawn videos.
    """

    unit = "frames"

    def __init__(
        self,
        videos: CaptionedVideos,
        transform: Callable[[Image.Image], Tensor],
        *,
        frames: int,
        shuffled: bool = False,
        batch_size: int = 64,
        on_error: OnError = "raise",
        num_workers: int | None = None,
    ):
        super().__init__()
        self.captioned, self.frames, self.batch_size, self.on_error = videos, frames, batch_size, on_error
        self.num_workers = default_workers(videos.one_process) if num_workers is None else num_workers
        self._unreadable: dict[int, str] = {}
        self._dataset = _DecodedVideos(videos, transform, frames, shuffled)

    def __len__(self) -> int:
        return len(self.captioned.videos) * self.frames

    @property
    def unreadable(self) -> list[int]:
        return list(self._unreadable)

    @property
    def skipped(self) -> list[str]:
        return list(self._unreadable.values())

    def test_dataloader(self) -> Iterable[FrameBatch]:
        self._unreadable = {}
        return _FlatBatches(self)

    def share_result(self) -> dict[int, str]:
        return self._unreadable

    def combine_shares(self, results: Sequence[dict[int, str]]) -> None:
        self._unreadable = dict(sorted(item for found in results for item in found.items()))

    def groups(self) -> list[range]:
        """The videos of each group of this process's share."""
        videos, size = range(len(self._dataset)), self.batch_size // math.gcd(self.batch_size, self.frames)
        return [videos[group * size : (group + 1) * size] for group in self.share.parts(-(-len(videos) // size))]

    def decoded(self) -> Iterator[tuple[int, Tensor | None]]:
        """The index and frames, ``[frames, 3, height, width]``, of each video of this process's share; None for an unreadable one."""
        indices = [index for group in self.groups() for index in group]
        loader = DecodingLoader(self._dataset, batch_size=None, sampler=indices, num_workers=self.num_workers)
        for index, frames in zip(indices, loader, strict=True):
            if isinstance(frames, Tensor):
                yield index, frames
                continue
            if self.on_error == "raise":
                raise CcsError(f"{frames} Mend or replace the video, or count such videos as misses with on_error=skip.")
            self._unreadable[index] = frames
            yield index, None


class _FlatBatches:
    """An iterable for Lightning's loop; its length is that without unreadable videos."""

    def __init__(self, data: FrameData):
        self.data = data

    def __len__(self) -> int:
        return sum(-(-len(group) * self.data.frames // self.data.batch_size) for group in self.data.groups())

    def __iter__(self) -> Iterator[FrameBatch]:
        decoded = self.data.decoded()
        for group in self.data.groups():
            yield from self._batches(itertools.islice(decoded, len(group)))

    def _batches(self, decoded: Iterable[tuple[int, Tensor | None]]) -> Iterator[FrameBatch]:
        size = self.data.batch_size
        pixels: list[Tensor] = []
        videos: list[Tensor] = []
        ids: list[str] = []
        waiting = 0
        for index, frames in decoded:
            if frames is None:
                continue
            pixels.append(frames)
            videos.append(torch.full((len(frames),), index))
            ids += [f"{self.data.captioned.videos[index].video_id}#{number}" for number in range(len(frames))]
            waiting += len(frames)
            if waiting >= size:
                flat, of_video = torch.cat(pixels), torch.cat(videos)
                whole = waiting // size * size
                for start in range(0, whole, size):
                    end = start + size
                    yield FrameBatch(flat[start:end], of_video[start:end], ids[start:end])
                pixels, videos, ids, waiting = [flat[whole:]], [of_video[whole:]], ids[whole:], waiting - whole
        if waiting:
            yield FrameBatch(torch.cat(pixels), torch.cat(videos), ids)


class _DecodedVideos(Dataset):
    """Preprocessed frames of each video; in the place of those of an unreadable one, the reason."""

    def __init__(self, videos: CaptionedVideos, transform: Callable, frames: int, shuffled: bool = False):
        self.videos, self.transform, self.frames, self.shuffled = videos.videos, transform, frames, shuffled

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            frames = torch.stack([self.transform(image) for image in self.videos[index].frames(self.frames)])
        except UnreadableImage as error:
            return str(error)
        if not self.shuffled:
            return frames
        return frames[np.random.default_rng(list(self.videos[index].video_id.encode())).permutation(len(frames))]
