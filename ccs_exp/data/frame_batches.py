"""Videos as one flat stream of frames, in batches of one size, for Lightning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import ccs_exp.clip  # noqa: F401  lightning imports torchvision, which needs what this declares
import lightning
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ccs_exp.data.batches import OnError, default_workers
from ccs_exp.data.images import UnreadableImage
from ccs_exp.data.videos import CaptionedVideos
from ccs_exp.errors import CcsError


class FrameBatch(NamedTuple):
    """`pixels` ``[batch, 3, height, width]`` and for each frame the index of its `videos` ``[batch]``."""

    pixels: Tensor
    videos: Tensor


class FrameData(lightning.LightningDataModule):
    """The frames of all videos, in order, in batches that do not end where a video does.

    Every batch but the last has exactly `batch_size` frames, whatever the number of workers, so that results depend on the
    configuration alone. Videos are decoded side by side, each by one process.

    Args:
        frames: of each video.
        on_error: `skip` leaves undecodable videos without frames, lists why in `skipped` and their indices in `unreadable`; `raise`
            stops with `CcsError`.
        num_workers: decoding processes; by default none for videos held in memory.
    """

    def __init__(
        self,
        videos: CaptionedVideos,
        transform: Callable[[Image.Image], Tensor],
        *,
        frames: int,
        batch_size: int = 64,
        on_error: OnError = "raise",
        num_workers: int | None = None,
    ):
        super().__init__()
        self.captioned, self.frames, self.batch_size, self.on_error = videos, frames, batch_size, on_error
        self.num_workers = default_workers(videos.in_memory) if num_workers is None else num_workers
        self.skipped: list[str] = []
        self.unreadable: list[int] = []
        self._dataset = _DecodedVideos(videos, transform, frames)

    def test_dataloader(self) -> Iterable[FrameBatch]:
        self.skipped.clear()
        self.unreadable.clear()
        return _FlatBatches(self)

    def decoded(self) -> Iterator[tuple[int, Tensor]]:
        """Each readable video's index and frames, ``[frames, 3, height, width]``."""
        for index, frames in enumerate(DataLoader(self._dataset, batch_size=None, num_workers=self.num_workers)):
            if isinstance(frames, Tensor):
                yield index, frames
                continue
            if self.on_error == "raise":
                raise CcsError(f"{frames} Mend or replace the video, or count such videos as misses with on_error=skip.")
            self.skipped.append(frames)
            self.unreadable.append(index)


class _FlatBatches:
    """An iterable for Lightning's loop; its length is that without unreadable videos."""

    def __init__(self, data: FrameData):
        self.data = data

    def __len__(self) -> int:
        return -(-len(self.data.captioned.videos) * self.data.frames // self.data.batch_size)

    def __iter__(self) -> Iterator[FrameBatch]:
        size = self.data.batch_size
        pixels: list[Tensor] = []
        videos: list[Tensor] = []
        waiting = 0
        for index, frames in self.data.decoded():
            pixels.append(frames)
            videos.append(torch.full((len(frames),), index))
            waiting += len(frames)
            if waiting >= size:
                flat, of_video = torch.cat(pixels), torch.cat(videos)
                whole = waiting // size * size
                for start in range(0, whole, size):
                    yield FrameBatch(flat[start : start + size], of_video[start : start + size])
                pixels, videos, waiting = [flat[whole:]], [of_video[whole:]], waiting - whole
        if waiting:
            yield FrameBatch(torch.cat(pixels), torch.cat(videos))


class _DecodedVideos(Dataset):
    """Preprocessed frames of each video; in the place of those of an unreadable one, the reason."""

    def __init__(self, videos: CaptionedVideos, transform: Callable, frames: int):
        self.videos, self.transform, self.frames = videos.videos, transform, frames

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Tensor | str:
        try:
            return torch.stack([self.transform(image) for image in self.videos[index].frames(self.frames)])
        except UnreadableImage as error:
            return str(error)
