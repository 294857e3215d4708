"""Drawn scenes: one to eight objects before a background, every visible property known.

A scene is a row of indices into the value lists of `FACTORS`. Pictures are 32 x 32 pixels, drawn with NumPy alone, so that a
seed gives the same pixels everywhere.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from ccs_exp.data.bundled.scene_drawing import decide, draw
from ccs_exp.data.images.source import NO_CLASS, ImageSource, Sample
from ccs_exp.errors import CcsError

FACTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "shape": ("circle", "square", "triangle", "star", "cross", "ring", "heart", "crescent", "arrow", "diamond"),
        "colour": ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "brown", "white", "black"),
        "texture": (
            "plain",
            "horizontally striped",
            "vertically striped",
            "diagonally striped",
            "checkered",
            "dotted",
            "speckled",
            "shaded",
        ),
        "size": ("tiny", "small", "medium", "large", "huge"),
        "place": ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"),
        "count": ("one", "two", "three", "four", "five", "six", "seven", "eight"),
        "background": ("sky", "night", "sand", "grass", "sea", "snow", "bricks", "wood", "fog", "lava"),
    }
)

NO_VALUE = NO_CLASS  # of a factor that a scene does not have: several objects have no one place

_COLOUR, _TEXTURE, _SIZE, _PLACE, _COUNT, _BACKGROUND = (list(FACTORS).index(name) for name in list(FACTORS)[1:])
_PLAIN = FACTORS["texture"].index("plain")
_LEGIBLE = ("medium", "large", "huge")  # shapes and textures can be told apart from here on
# the colours that vanish before a background, in spite of the contour
_HIDDEN = {
    "sky": "turquoise",
    "night": "black",
    "sand": "yellow",
    "grass": "green",
    "sea": "blue",
    "snow": "white",
    "bricks": "red",
}
_HIDDEN |= {"wood": "brown", "fog": "white", "lava": "orange"}


def sample_scene(rng: np.random.Generator, factor: str | None = None, value: int | None = None) -> np.ndarray:
    """A random scene, ``[factors]`` int64, in which `factor` has `value` and can be seen."""
    scene = np.array([rng.integers(len(values)) for values in FACTORS.values()])
    if factor == "count":
        scene[_COUNT] = value
    elif factor is not None or rng.random() < 0.7:
        scene[_COUNT] = 0
    if factor in ("shape", "texture"):
        scene[_SIZE] = FACTORS["size"].index(_LEGIBLE[rng.integers(len(_LEGIBLE))])
    if factor is not None:
        scene[list(FACTORS).index(factor)] = value
    if scene[_COUNT] > 0:  # several objects are small, plain, and everywhere
        scene[_TEXTURE], scene[_PLACE] = _PLAIN, NO_VALUE
        scene[_SIZE] = rng.integers(2)
    if _HIDDEN[FACTORS["background"][scene[_BACKGROUND]]] == FACTORS["colour"][scene[_COLOUR]]:
        other = _BACKGROUND if factor == "colour" else _COLOUR
        size = len(list(FACTORS.values())[other])
        scene[other] = (scene[other] + rng.integers(1, size)) % size
    return scene


def asked(scene: np.ndarray) -> tuple[int, ...]:
    """The classes of a scene in the order of `FACTORS`; `NO_CLASS` for a factor that it is not asked about.

    Every factor is asked where it can be seen and varies independently of the others: shapes and textures of single objects of at least
    medium size, sizes and places of single objects, counts where objects are tiny, colours and backgrounds everywhere.
    """
    single, legible = scene[_COUNT] == 0, scene[_SIZE] >= FACTORS["size"].index(_LEGIBLE[0])
    where = {"shape": single and legible, "texture": single and legible, "size": single, "place": single, "count": scene[_SIZE] == 0}
    return tuple(int(value) if where.get(factor, True) else NO_CLASS for factor, value in zip(FACTORS, scene, strict=True))


class _DrawnScenes(ImageSource):
    """Scenes and their class or classes, each chosen and drawn when it is first asked for.

    One stream of random numbers goes through all scenes and drawings of a source, so that those before a scene are chosen with it, and
    what their drawings would take of the stream is taken; each one's place in the stream is remembered.
    """

    one_process = True

    def __init__(self, prefix: str, num_images: int, rng: np.random.Generator):
        self._prefix, self._num_images, self._rng = prefix, num_images, rng
        self._scenes: list[tuple[np.ndarray, Mapping[str, Any], int | tuple[int, ...]]] = []  # with the stream's state, and the target
        self._pixels: dict[int, np.ndarray] = {}

    @abstractmethod
    def _choose(self, index: int) -> tuple[np.ndarray, int | tuple[int, ...]]:
        """A scene, by the stream, and its target."""

    def __len__(self) -> int:
        return self._num_images

    def __getitem__(self, index: int) -> Sample:
        index = range(self._num_images)[index]
        while len(self._scenes) <= index:
            scene, target = self._choose(len(self._scenes))
            self._scenes.append((scene, self._rng.bit_generator.state, target))
            decide(scene, self._rng)
        scene, state, target = self._scenes[index]
        if index not in self._pixels:
            rng = np.random.default_rng(0)
            rng.bit_generator.state = state
            self._pixels[index] = draw(scene, rng)
        return Sample(f"{self._prefix}-{index:05d}", Image.fromarray(self._pixels[index]), target)


class Scenes(_DrawnScenes):
    """Random scenes with all their classes: seven tasks on the same images, each on those that it is asked of (`asked`).

    Every factor has its turn at being balanced over its values.
    """

    tasks = FACTORS
    class_names = ("scene",)

    def __init__(self, num_images: int, seed: int):
        super().__init__(f"scenes-{seed}", num_images, np.random.default_rng([seed, len(FACTORS), 1]))

    def _choose(self, index: int) -> tuple[np.ndarray, tuple[int, ...]]:
        factor = list(FACTORS)[index % len(FACTORS)]
        scene = sample_scene(self._rng, factor, index // len(FACTORS) % len(FACTORS[factor]))
        return scene, asked(scene)


class SceneTask(_DrawnScenes):
    """A classification task on scenes: the class is one factor's value, everything else is random, classes are balanced.

    Shapes and textures are asked of single objects of at least medium size, places and sizes of single objects.
    """

    def __init__(self, factor: str, num_images: int, seed: int):
        if factor not in FACTORS:
            raise CcsError(f"There is no factor {factor!r} in scenes; there are {', '.join(FACTORS)}.")
        self._factor, self.class_names = factor, FACTORS[factor]
        super().__init__(f"{factor}-{seed}", num_images, np.random.default_rng([seed, list(FACTORS).index(factor)]))

    def _choose(self, index: int) -> tuple[np.ndarray, int]:
        target = index % len(self.class_names)
        return sample_scene(self._rng, self._factor, target), target


class SceneProbe(_DrawnScenes):
    """Images to decompose over: random scenes, in which every factor has its turn at being balanced over its values."""

    class_names = ("scene",)

    def __init__(self, num_images: int, seed: int):
        super().__init__(f"probe-{seed}", num_images, np.random.default_rng([seed, len(FACTORS)]))

    def _choose(self, index: int) -> tuple[np.ndarray, int]:
        factor = list(FACTORS)[index % len(FACTORS)]
        return sample_scene(self._rng, factor, int(self._rng.integers(len(FACTORS[factor])))), 0
