"""A reader who follows a page in an empty folder, and leaves the process as it was."""

import json
import sys

import numpy as np
import open_clip
import pages
import pytest
from command import left_as_it_was
from PIL import Image
from safetensors.torch import save_file

sys.path.insert(0, str(pages.ROOT / "docs" / "hooks"))


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    """What a reader has: images in class folders, videos with captions, and a checkpoint of the model that a page describes."""
    have = tmp_path_factory.mktemp("have")
    rng = np.random.default_rng(0)
    for name in ("images/a/1", "images/a/2", "images/b/1", "videos/a/1", "videos/a/2", "videos/b/1"):
        path = have / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    (have / "videos" / "captions.csv").write_text("video,caption\na,a red star\nb,a blue ring\n")
    page = pages.blocks(pages.ROOT / "docs" / "how_to" / "own_model.md")
    (architecture,) = (json.loads(block.text) for block in page if block.title == "my_vit.json")
    save_file(open_clip.CLIP(**architecture).state_dict(), have / "my_vit.safetensors")
    return {"IMAGES": str(have / "images"), "VIDEOS": str(have / "videos"), "CHECKPOINT": str(have / "my_vit.safetensors")}


@pytest.fixture
def reader(tmp_path, monkeypatch, stand_ins):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # the command line sets it
    with left_as_it_was():
        yield lambda page, *more: pages.follow(page, tmp_path, monkeypatch, stand_ins, more)
