"""Shared fixtures: a small model, a store of the tests' own, where real inputs lie, if they do; and what makes many short jobs cheap."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):  # programs that tests start would each compile the package for themselves
    sys.dont_write_bytecode = False
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CCS_EXP_ATLAS", "false")  # its pages take a job seconds; tests that want them say so
if "PYTEST_XDIST_WORKER" in os.environ:  # of several processes each has a core; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from composing import each_choice_once
from painting import blank, painted
from small_models import small_model

from ccs_exp.clip import text
from ccs_exp.clip.model import ClipModel
from ccs_exp.data.bundled import scene_drawing, scenes
from ccs_exp.store import kept_tensor

SHARED = Path(__file__).parents[2] / "shared"
LONG = {"test_readme.py", "test_launchers.py", "test_stopping.py", "test_dashboard.py", "test_evidence_stage.py", "test_several_devices.py"}
LONG |= {"test_cli.py", "test_tracking.py", "test_retrieval.py"}
PAINTED = {"test_drawing.py", "test_robustness.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first, so that at the end no process waits for another's."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through it again and again."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory):
    """What a developer's own runs have kept must not decide a test; processes that tests start inherit it."""
    os.environ["CCS_EXP_CACHE"] = str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module", autouse=True)
def figures_are_made_and_not_painted(request):
    """Painting a short job's figures takes longer than the job: left to tests of figures, and to programs that tests start."""
    with nullcontext() if request.path.name in PAINTED else painted(blank):
        yield


@pytest.fixture(scope="session", autouse=True)
def configurations_are_composed_once():
    with each_choice_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def scenes_are_drawn_once():
    """Most jobs look at the first scenes of the same few collections."""
    drawn: dict[tuple[bytes, str], np.ndarray] = {}

    def draw(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        key = (scene.tobytes(), repr(rng.bit_generator.state))
        if key not in drawn:
            drawn[key] = scene_drawing.draw(scene, rng)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "draw", draw)
        yield


@pytest.fixture(scope="session", autouse=True)
def texts_are_encoded_once():
    """Whichever store a test has: what a store would find them by decides."""
    encoded: dict[str, torch.Tensor] = {}

    def kept(kind: str, key: dict, compute: Callable[[], torch.Tensor], shape: tuple) -> torch.Tensor:
        def once() -> torch.Tensor:
            if repr(key) not in encoded:
                encoded[repr(key)] = compute()
            return encoded[repr(key)].clone()

        return kept_tensor(kind, key, once, shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "kept_tensor", kept)
        yield


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
