"""A small random CLIP with real structure. Not in conftest.py: tests of documentation have one of their own, of the same name."""

from __future__ import annotations  # noqa: I001  ccs_exp first: it declares torchvision's operators, and open_clip imports torchvision

import ccs_exp  # noqa: F401
import open_clip
import torch

from ccs_exp.clip.model import ClipModel, WeightsOrigin

SMALL_VISION = {"layers": 6, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}
SMALL_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def small_open_clip(seed: int = 0, **vision) -> torch.nn.Module:
    """An ordinary open_clip model of 6 layers of 4 heads; biases and norms are drawn too, so that nothing is trivially zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clip = open_clip.CLIP(embed_dim=48, vision_cfg=SMALL_VISION | vision, text_cfg=SMALL_TEXT)
        for name, parameter in clip.visual.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
            elif "ln_" in name:
                torch.nn.init.normal_(parameter, mean=1.0, std=0.1)
    return clip.eval()


def small_model(seed: int = 0, **vision) -> ClipModel:
    tokenizer = open_clip.SimpleTokenizer()
    origin = WeightsOrigin(f"random weights (seed {seed})", None)
    return ClipModel(small_open_clip(seed, **vision), tokenizer, lambda image: image, "small", origin)
