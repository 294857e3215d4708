"""The memory that a job says it needs."""

import pytest
import torch

from ccs_exp.clip import architecture
from ccs_exp.clip.architecture import memory_need
from ccs_exp.clip.loading import load_clip, unloaded
from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs import plan


def need(name, **other):
    sizes = {"batch_size": 512, "stack_size": 1, "on_cpu": True, "parting_layers": 4, "workers": 2}
    return memory_need(name, None, **(sizes | other))


def test_weights_are_counted_without_loading_them_and_so_are_their_packed_copies(monkeypatch):
    model = load_clip("ViT-S-32")
    bytes_of_weights = sum(parameter.nbytes for parameter in model.parameters())
    assert need("ViT-S-32", on_cpu=False).weights == bytes_of_weights
    monkeypatch.setattr(architecture, "PACKED", False)
    assert need("ViT-S-32").weights == bytes_of_weights
    monkeypatch.setattr(architecture, "PACKED", True)
    assert bytes_of_weights < need("ViT-S-32").weights < 2 * bytes_of_weights
    assert all(parameter.device == torch.device("meta") for parameter in unloaded("ViT-S-32").parameters())


@pytest.mark.parametrize("on_cpu", [True, False])
def test_batches_grow_with_batch_stack_and_the_layers_in_which_masks_part(on_cpu):
    small, wide, high, deep, ahead = (
        need("ViT-B-32", on_cpu=on_cpu, **other).activations
        for other in ({}, {"batch_size": 1024}, {"stack_size": 4}, {"parting_layers": 12}, {"workers": 8})
    )
    assert wide == 2 * small and small < high < 4 * small and deep > small and ahead > small


def test_the_walk_holds_as_many_copies_as_are_stated():
    """Of 12 layers in which masks part one by one, each but the last keeps what enters it and its heads' outputs."""
    few, many = (need("ViT-B-32", parting_layers=layers).activations for layers in (4, 12))
    assert many - few == 4 * 2 * 8 * 512 * 50 * 768


def test_texts_count_where_they_are_more():
    assert need("ViT-B-32", batch_size=1).activations == need("ViT-B-32", batch_size=2).activations


def test_a_plan_says_passes_and_memory():
    cfg = configure("model=vitb32_openai", "dataset=digits")
    probe, evaluated, room = (line.text for line in plan.encoding_lines(cfg, evaluates=True))
    assert "from 5,000 images of mini_imagenet" in probe and "digits" in evaluated and "in one pass" in evaluated
    assert "about" in room and "GB" in room
    deeper = plan.encoding_lines(configure("model=vitb32_openai", "prune.random.layers=all"), evaluates=True)
    assert deeper[2] != plan.encoding_lines(configure("model=vitb32_openai"), evaluates=True)[2]
    assert "a full pass for each" in plan.encoding_lines(configure("engine=plain"), evaluates=True)[1].text
    assert plan.encoding_lines(configure("ccs=published", "model=vitb32_openai"), evaluates=False) == []


def test_an_unknown_model_is_an_error():
    with pytest.raises(CcsError, match="open_clip has no model 'ViT-Z'"):
        need("ViT-Z")
