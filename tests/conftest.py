"""Shared fixtures: a small model, a store of the tests' own, and where real inputs lie, if they do."""

from __future__ import annotations

import gc
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CCS_EXP_ATLAS", "false")  # its pages take a job seconds; tests that want them say so

import pytest
import torch
from small_models import small_model

from ccs_exp.clip.model import ClipModel

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through it again and again."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


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
