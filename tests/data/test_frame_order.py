"""Frames in a random order: the control for what only their order could tell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from local_copies import to_tensor
from PIL import Image

from ccs_exp.config.schema import configure
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError


@dataclass(frozen=True)
class Fading:
    """A video whose frames are ever lighter."""

    video_id: str

    def frames(self, number: int) -> list[Image.Image]:
        return [Image.new("RGB", (2, 2), (10 * shade,) * 3) for shade in range(number)]


def shades(shuffled: bool) -> dict[str, list[int]]:
    """Of each video the shades of its frames in the order of the batches."""
    videos = CaptionedVideos((Fading("a"), Fading("b"), Fading("c")), ("x", "y", "z"), (0, 1, 2), one_process=True)
    data = FrameData(videos, to_tensor, frames=12, shuffled=shuffled, batch_size=5)
    found: dict[str, list[int]] = {}
    for batch in data.test_dataloader():
        for pixels, frame in zip(batch.pixels, batch.frame_ids, strict=True):
            found.setdefault(frame.partition("#")[0], []).append(int(pixels.max()) // 10)
    return found


def test_a_video_s_frames_are_the_same_in_another_order_which_its_name_decides():
    filmed, shuffled = shades(False), shades(True)
    assert set(map(tuple, filmed.values())) == {tuple(range(12))}
    assert all(sorted(order) == list(range(12)) != order for order in shuffled.values())
    assert shuffled == shades(True) and len(set(map(tuple, shuffled.values()))) == 3
    # what retrieval does with them is a mean
    means = [torch.tensor(list(orders.values()), dtype=torch.float64).mean(dim=1) for orders in (filmed, shuffled)]
    assert torch.equal(*means)


def test_images_have_no_order():
    assert configure("dataset=scenes_video", "dataset.frame_order=shuffled").dataset.frame_order == "shuffled"
    with pytest.raises(CcsError, match=r"dataset\.frame_order=shuffled is about videos; dataset=scenes_shape has none"):
        configure("dataset=scenes_shape", "dataset.frame_order=shuffled")
    with pytest.raises(CcsError, match="Choose one of: as_filmed, shuffled"):
        configure("dataset=scenes_video", "dataset.frame_order=reversed")
