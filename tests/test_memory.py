"""The memory that a job says it needs."""

import pytest
import torch

from ccs_exp import plan
from ccs_exp.clip.loading import load_clip, unloaded
from ccs_exp.clip.memory import memory_need
from ccs_exp.config import configure
from ccs_exp.errors import CcsError


def test_weights_are_counted_without_loading_them():
    model = load_clip("ViT-B-32")
    bytes_of_weights = sum(parameter.nbytes for parameter in model.parameters())
    assert memory_need("ViT-B-32", None, 64, 4, on_cpu=False).weights == bytes_of_weights
    assert bytes_of_weights < memory_need("ViT-B-32", None, 64, 4, on_cpu=True).weights < 2 * bytes_of_weights
    assert all(parameter.device == torch.device("meta") for parameter in unloaded("ViT-B-32").parameters())


@pytest.mark.parametrize("on_cpu", [True, False])
def test_batches_grow_with_batch_and_stack(on_cpu):
    small, wide, high = (
        memory_need("tiny_clip", "tiny_clip/tiny_clip.json", *sizes, on_cpu).activations for sizes in ((8, 2), (16, 2), (8, 4))
    )
    assert wide == 2 * small and small < high < 2 * small


def test_a_plan_says_passes_and_memory():
    cfg = configure("model=vitb32_openai", "dataset=digits")
    passes, memory = (line.text for line in plan.encoding_lines(cfg, evaluates=True))
    assert "one over the probe imagenet_val (5,000 images); one over digits, all conditions at once" in passes
    assert "at most" in memory and "GB" in memory
    assert "a full forward pass for each" in plan.encoding_lines(configure("engine=plain"), evaluates=True)[0].text
    assert plan.encoding_lines(configure("ccs=published", "model=vitb32_openai"), evaluates=False) == []


def test_an_unknown_model_is_an_error():
    with pytest.raises(CcsError, match="open_clip has no model 'ViT-Z'"):
        memory_need("ViT-Z", None, 1, 1, on_cpu=True)
