"""Drawing a scene as pixels: shapes, textures and backgrounds, each a function of coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SIDE = 32  # pixels
_FINE = 2 * SIDE  # drawn twice as fine and averaged, so that edges are smooth
_XS = (np.arange(_FINE)[None, :] + 0.5) * (SIDE / _FINE)  # pixel units: a row, and with y downwards a column, which together span all
_YS = _XS.T.copy()

_RADII = (3.0, 5.0, 7.5, 10.5, 14.0)  # of a single object, by size
_RADII_OF_SEVERAL = (2.8, 4.3)
_GRID = (5.5, 16.0, 26.5)  # where several objects may stand
_PLACES = (8.0, 16.0, 24.0)
_CONTOUR = 1.0
_REACH = 1.2  # no shape of radius 1 goes further from its centre, along x or y
_SPECKLED = 6  # the texture that is random

_COLOURS = np.array(
    [
        [215, 30, 35], [245, 135, 25], [250, 225, 45], [45, 155, 60], [60, 215, 205], [40, 75, 215],
        [125, 45, 175], [250, 150, 195], [115, 70, 35], [250, 250, 250], [20, 20, 20],
    ],
    dtype=float,
)  # fmt: skip


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x + 0 * y, y + 0 * x  # whole, as NumPy may round the arctangent of repeated numbers otherwise
    angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)  # from the nearest tip
    radius = np.hypot(x, y) / 1.1
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    inner_x, inner_y = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    return (inner_x - 1) * across - inner_y * (along - 1) > 0


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = 1.15 * x, 0.15 - 1.15 * y
    return (x**2 + y**2 - 1) ** 3 - x**2 * y**3 < 0


_SHAPES: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (
    lambda x, y: x**2 + y**2 < 1,
    lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.88,
    lambda x, y: (y < 0.8) & (np.abs(x) < 0.58 * (y + 1)),
    _star,
    lambda x, y: np.minimum(np.abs(x), np.abs(y)) < np.where(np.maximum(np.abs(x), np.abs(y)) < 1, 0.33, -1),
    lambda x, y: (x**2 + y**2 < 1) & (x**2 + y**2 > 0.3),
    _heart,
    lambda x, y: (x**2 + y**2 < 1) & ((x - 0.5) ** 2 + y**2 > 0.64),
    lambda x, y: ((np.abs(y) < 0.26) & (x > -1) & (x < 0.1)) | ((x >= 0.05) & (np.abs(y) < 0.95 * (1 - x))),
    lambda x, y: np.abs(x) + np.abs(y) < 1,
)


class _OfObject(NamedTuple):
    """What is random about one object: by how much it is off its place, what its radius is times, and where it is speckled."""

    off: tuple[float, float]
    times: float
    speckles: np.ndarray | None  # [32, 32] of 0..1


class Open(NamedTuple):
    """What a scene leaves open: exact positions and sizes, and noise."""

    shift: tuple[float, float]  # of the background
    noise: np.ndarray  # [32, 32]
    cells: tuple[int, ...]  # where several objects stand
    objects: tuple[_OfObject, ...]


def decide(scene: np.ndarray, rng: np.random.Generator) -> Open:
    """What `scene` leaves open, by `rng`: takes of it all that a drawing needs, at a fraction of the time."""
    _, _, texture, _, _, count, _ = scene.tolist()
    shift_x, shift_y = rng.uniform(0, 8, size=2)
    noise = rng.normal(size=(SIDE, SIDE))
    cells = tuple(rng.choice(9, size=count + 1, replace=False).tolist()) if count else ()
    objects = []
    for _ in cells or (0,):
        off, times = (rng.uniform(-1, 1), rng.uniform(-1, 1)), rng.uniform(0.94, 1.06)
        objects.append(_OfObject(off, times, rng.random((SIDE, SIDE)) if texture == _SPECKLED else None))
    return Open((shift_x, shift_y), noise, cells, tuple(objects))


def _finer(values: np.ndarray) -> np.ndarray:
    return values.repeat(2, axis=0).repeat(2, axis=1)


def _texture(texture: int, x: np.ndarray, y: np.ndarray, radius: float, speckles: np.ndarray | None) -> np.ndarray:
    """How much of the second colour shows, 0..1, by pixel coordinates relative to the object's centre."""
    if texture == 1:
        return y % 4 < 2
    if texture == 2:
        return x % 4 < 2
    if texture == 3:
        return (x + y) % 5.6 < 2.8
    if texture == 4:
        return (x % 6 < 3) ^ (y % 6 < 3)
    if texture == 5:
        return np.hypot(x % 5 - 2.5, y % 5 - 2.5) < 1.4
    if speckles is not None:
        return speckles < 0.35
    if texture == 7:
        return np.clip(0.5 + 0.6 * y / radius, 0, 1)
    return np.zeros(1)


def _background(kind: int, left: Open) -> np.ndarray:
    """``[3, fine, fine]``"""
    x, y, noise = _XS + left.shift[0], _YS + left.shift[1], _finer(left.noise)

    def mix(first: tuple, second: tuple, share: np.ndarray) -> np.ndarray:
        share = np.clip(share, 0, 1)
        rest, canvas = 1 - share, np.empty((3, _FINE, _FINE))
        for channel, of_first, of_second in zip(canvas, first, second, strict=True):
            channel[:] = of_first * rest + of_second * share
        return canvas

    if kind == 0:  # sky: paler towards the horizon
        return mix((110, 175, 240), (215, 235, 250), _YS / SIDE)
    if kind == 1:  # night: stars
        return mix((18, 22, 60), (240, 240, 200), (noise > 2.1).astype(float))
    if kind == 2:  # sand
        return mix((225, 200, 145), (190, 160, 105), 0.5 + 0.35 * noise)
    if kind == 3:  # grass: upright blades
        return mix((70, 150, 60), (35, 100, 35), 0.5 + 0.5 * np.sin(2.4 * x + 1.5 * noise))
    if kind == 4:  # sea: waves
        return mix((20, 110, 140), (90, 180, 195), 0.5 + 0.5 * np.sin(1.3 * y + np.sin(0.6 * x)))
    if kind == 5:  # snow: flakes on pale blue
        return mix((225, 232, 245), (180, 195, 225), (noise > 1.3).astype(float))
    if kind == 6:  # bricks: rows, every other one shifted
        row = y // 5
        mortar = (y % 5 < 1) | ((x + 5 * (row % 2)) % 10 < 1)
        return mix((165, 85, 65), (215, 205, 195), mortar.astype(float))
    if kind == 7:  # wood: grain
        return mix((170, 120, 70), (135, 90, 50), 0.5 + 0.5 * np.sin(0.9 * y + 1.2 * np.sin(0.25 * x)))
    if kind == 8:  # fog
        return mix((165, 165, 168), (190, 190, 192), 0.5 + 0.1 * noise)
    return mix((60, 15, 10), (250, 120, 20), np.sin(0.5 * x + 2 * np.sin(0.4 * y)) ** 4)  # lava: veins


def draw(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a scene, given as indices of shape, colour, texture, size, place, count and background: ``[32, 32, 3]`` uint8.

    `rng` decides what the scene leaves open.
    """
    return draw_decided(scene, decide(scene, rng))


def draw_decided(scene: np.ndarray, left: Open) -> np.ndarray:
    """As `draw`, with what the scene leaves open."""
    shape, colour, texture, size, place, count, background = scene.tolist()
    canvas = _background(background, left)
    contour = 25.0 if canvas.mean() > 110 else 235.0
    first = _COLOURS[colour]
    second = np.full(3, 250.0) if first.mean() < 128 else np.full(3, 35.0)
    second = 0.2 * first + 0.8 * second
    if count == 0:
        centres = [(_PLACES[place % 3], _PLACES[place // 3])]
        radius = _RADII[size]
    else:
        centres = [(_GRID[cell % 3], _GRID[cell // 3]) for cell in left.cells]
        radius = _RADII_OF_SEVERAL[size]
    for (centre_x, centre_y), of_object in zip(centres, left.objects, strict=True):
        r = radius * of_object.times
        outside = r + _CONTOUR
        rows, columns = _around(centre_y + of_object.off[1], outside), _around(centre_x + of_object.off[0], outside)
        x, y = _XS[:, columns] - centre_x - of_object.off[0], _YS[rows] - centre_y - of_object.off[1]
        part = canvas[:, rows, columns]
        part[:, _SHAPES[shape](x / outside, y / outside)] = contour
        inside = _SHAPES[shape](x / r, y / r)
        speckles = None if of_object.speckles is None else _finer(of_object.speckles)[rows, columns]
        share = np.broadcast_to(_texture(texture, x, y, r, speckles), inside.shape)[inside].astype(float)
        for channel, of_first, of_second in zip(part, first, second, strict=True):
            channel[inside] = of_first * (1 - share) + of_second * share
    pixels = (canvas[:, ::2, ::2] + canvas[:, ::2, 1::2] + canvas[:, 1::2, ::2] + canvas[:, 1::2, 1::2]) / 4
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _around(centre: float, radius: float) -> slice:
    """The part of a row or column that a shape may cover."""
    return slice(max(0, int((centre - _REACH * radius) * _FINE / SIDE)), max(0, int((centre + _REACH * radius) * _FINE / SIDE) + 1))
