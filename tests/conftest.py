"""Shared fixtures: a small random CLIP with real structure, and where real inputs lie, if they do."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import ccs_exp  # noqa: F401, I001  first: it declares torchvision's operators, and open_clip imports torchvision
import open_clip
import pytest
import torch

from ccs_exp.clip.model import ClipModel, WeightsOrigin

SHARED = Path(__file__).parents[2] / "shared"

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


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory):
    """What a developer's own runs have kept must not decide a test; processes that tests start inherit it."""
    os.environ["CCS_EXP_CACHE"] = str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def model() -> ClipModel:
    return small_model()


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the folder of real inputs is not beside the checkout")
    return SHARED
