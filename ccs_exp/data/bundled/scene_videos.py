"""Drawn videos: in each, one object moves over a background, and the caption says what it is, what it looks like and where."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ccs_exp.data.bundled.scene_drawing import draw
from ccs_exp.data.bundled.scenes import FACTORS, sample_scene
from ccs_exp.data.videos.captioned import CaptionedVideos
from ccs_exp.data.videos.decoding import frame_indices

_FRAMES = 36
_PLACE = list(FACTORS).index("place")
_CAPTIONED = ("colour", "shape")  # and the background


class SceneVideo:
    """One object that wanders over the nine places, three by three; everything else stays."""

    def __init__(self, video_id: str, scene: np.ndarray, seed: list[int]):
        self.video_id, self._scene, self._seed = video_id, scene, seed
        rng = np.random.default_rng(seed)
        place = rng.integers(3, size=2)  # row and column
        self._places = []
        for _ in range(_FRAMES):
            place = np.clip(place + rng.integers(-1, 2, size=2), 0, 2)
            self._places.append(3 * place[0] + place[1])

    def frames(self, number: int) -> list[Image.Image]:
        images = []
        for index in frame_indices(_FRAMES, number):
            scene = self._scene.copy()
            scene[_PLACE] = self._places[index]
            images.append(Image.fromarray(draw(scene, np.random.default_rng(self._seed))))
        return images


def scene_videos(num_videos: int, seed: int) -> CaptionedVideos:
    """`num_videos` videos of distinct scenes with one caption each, the same for the same seed."""
    rng = np.random.default_rng([seed, 10])
    videos: dict[str, SceneVideo] = {}
    while len(videos) < num_videos:
        scene = sample_scene(rng, "size", int(rng.integers(len(FACTORS["size"]))))  # asked for by size: a single object of any
        words = {name: values[index] for (name, values), index in zip(FACTORS.items(), scene, strict=True)}
        caption = f"a {' '.join(words[name] for name in _CAPTIONED)} in front of {words['background']}"
        if caption not in videos:
            videos[caption] = SceneVideo(f"scene-{len(videos):04d}", scene, [seed, len(videos)])
    return CaptionedVideos(tuple(videos.values()), tuple(videos), tuple(range(num_videos)), one_process=True)
