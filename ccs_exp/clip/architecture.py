"""What an architecture looks like, known without building it."""

from __future__ import annotations

import json

import open_clip

from ccs_exp.files import ASSETS


def encoder_shape(name: str, architecture: str | None = None) -> tuple[int, int] | None:
    """Layers and heads per layer of the image encoder; None for an unknown name, or an encoder that is no plain ViT.

    Args:
        architecture: a model configuration in the package, for names that open_clip does not know.
    """
    if architecture is not None:
        config = json.loads((ASSETS / architecture).read_text(encoding="utf-8"))
    else:
        config = open_clip.get_model_config(name)
    vision = (config or {}).get("vision_cfg", {})
    layers, width = vision.get("layers"), vision.get("width")
    if not isinstance(layers, int) or not isinstance(width, int) or "timm_model_name" in vision:
        return None
    return layers, width // vision.get("head_width", 64)
