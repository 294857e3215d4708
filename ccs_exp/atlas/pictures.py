"""Small pictures for pages: the crop that the model saw, and over it where a head looked, in a format that stands in the page itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import Float
from PIL import Image

_LARGEST_SIDE = 112
_TOWARDS, _AWAY = (222, 84, 20), (26, 92, 196)  # contributions along the direction, and against it
_OPACITY = 0.72  # of the strongest patch


def thumbnail(picture: Image.Image, side: int = _LARGEST_SIDE) -> str:
    """The address of a copy of at most that size, as WebP."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _address(small, "WEBP", quality=78, method=0)


def overlay(heat: Float[np.ndarray, "rows columns"], strongest: float) -> str:
    """The address of a picture with a pixel for each patch, to be laid over the crop: orange along, blue against, clear where nothing is.

    `strongest`: the value of full colour.
    """
    strength = np.clip(np.abs(heat) / (strongest or 1.0), 0, 1)
    colours = np.where((heat >= 0)[..., None], np.array(_TOWARDS), np.array(_AWAY))
    opacity = np.rint(255 * _OPACITY * strength)[..., None]
    return _address(Image.fromarray(np.concatenate([colours, opacity], axis=-1).astype(np.uint8), "RGBA"), "PNG")


def strongest_patch(heat: Float[np.ndarray, "rows columns"]) -> str:
    """In words, for who cannot see it."""
    row, column = np.unravel_index(np.abs(heat).argmax(), heat.shape)
    return f"row {row + 1} of {heat.shape[0]}, column {column + 1} of {heat.shape[1]}"


def _address(picture: Image.Image, kind: str, **options: int) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
