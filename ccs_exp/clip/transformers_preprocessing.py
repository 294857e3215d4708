"""What a checkpoint of `transformers` says of its preprocessing, as open_clip's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from open_clip.transform import PreprocessCfg
from PIL import Image
from torchvision.transforms import CenterCrop
from torchvision.transforms.functional import crop

from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.repository import PREPROCESSOR, read_json
from ccs_exp.errors import CcsError

_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


class CenterCropDown(CenterCrop):
    """As transformers crops: where the margins of both sides cannot be equal, the first is the smaller; torchvision rounds to even."""

    def forward(self, img: Image.Image) -> Image.Image:
        (height, width), (columns, rows) = self.size, img.size
        return crop(img, (rows - height) // 2, (columns - width) // 2, height, width)


def transformers_preprocessing(folder: Path, clip: OpenClip, named: str) -> tuple[dict[str, Any], int | None]:
    """open_clip's settings of what the checkpoint's own file says, and to what the shorter edge is resized before cropping; None: squashed.

    Raises `CcsError` for a file that is missing, or asks for what open_clip's preprocessing has no step for.
    """
    file = next((folder / name for name in PREPROCESSOR if (folder / name).is_file()), None)
    if file is None:
        raise CcsError(
            f"{named} has no {PREPROCESSOR[0]}, so its preprocessing is not known. Add the file that it was trained with: "
            "transformers.AutoImageProcessor.from_pretrained('ORG/NAME').save_pretrained(FOLDER) writes that of a published model."
        )
    found = read_json(file, named)
    found = cast(dict[str, Any], found.get("image_processor", found))
    shown = {"size": found.get("size", clip.visual.image_size[0]), "crop_size": found.get("crop_size", clip.visual.image_size[0])}
    edge = _edge(shown["size"])
    squashed = isinstance(shown["size"], Mapping) and "height" in shown["size"]
    cropped = found.get("do_center_crop", True)
    wanted = _edge(shown["crop_size"]) if cropped else edge
    steps = {
        "do_resize": found.get("do_resize", True),
        "do_rescale": found.get("do_rescale", True) and abs(found.get("rescale_factor", 1 / 255) * 255 - 1) < 1e-3,
        "resample": found.get("resample", 3) in _RESAMPLING,
        "size": edge is not None and (cropped or squashed) and edge >= (wanted or 0),
        "crop_size": wanted == clip.visual.image_size[0] and not (squashed and edge != wanted),
    }
    unknown = [f"{key}={json.dumps(shown.get(key, found.get(key)))}" for key, known in steps.items() if not known]
    if unknown:
        raise CcsError(
            f"{file.name} of {named} asks for {', '.join(unknown)}, which cannot be followed: images are resized to one edge (bicubic or "
            f"bilinear), cropped to the {clip.visual.image_size[0]} pixels that the model takes, and divided by 255. Mend the file."
        )
    normalised = found.get("do_normalize", True)
    default = PreprocessCfg()
    settings = {
        "mean": tuple(found.get("image_mean") or default.mean) if normalised else (0.0, 0.0, 0.0),
        "std": tuple(found.get("image_std") or default.std) if normalised else (1.0, 1.0, 1.0),
        "interpolation": _RESAMPLING[found.get("resample", 3)],
        "resize_mode": "squash" if squashed else "shortest",
    }
    return settings, None if squashed else edge


def _edge(size: Any) -> int | None:
    """The one number of a size, in any of transformers' ways to write it; None for two that differ."""
    numbers = set(size.values()) if isinstance(size, Mapping) else {size}
    return numbers.pop() if len(numbers) == 1 and all(isinstance(number, int) for number in numbers) else None
