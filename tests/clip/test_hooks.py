"""Laws of reading and silencing heads."""

import copy

import pytest
import torch
from small_models import small_model, small_open_clip

from ccs_exp.clip.attention import HeadAttention
from ccs_exp.clip.hooks import masked, recorded
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head

HEADS = [Head(2, 0), Head(2, 3), Head(5, 1)]


@torch.no_grad()
def zeroed_columns(model, heads):
    """Soft pruning done to the weights: the columns of out_proj that read a head are zero."""
    pruned = copy.deepcopy(model)
    for head in heads:
        attention = pruned.blocks[head.layer].attn
        width = attention.head_dim
        attention.out_proj.weight[:, head.index * width : (head.index + 1) * width] = 0
    return pruned


@torch.no_grad()
def test_hook_points_change_no_number_and_no_key(pixels):
    original = small_open_clip()
    exposed = small_model()
    assert list(original.state_dict()) == list(exposed.clip.state_dict())
    torch.testing.assert_close(exposed.clip.encode_image(pixels), original.encode_image(pixels), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_mask_equals_zeroed_columns(model, pixels):
    with masked(model, HEADS):
        embedding = model.encode_images(pixels)
    torch.testing.assert_close(embedding, zeroed_columns(model, HEADS).encode_images(pixels), atol=1e-6, rtol=0)
    assert not torch.allclose(embedding, model.encode_images(pixels), atol=1e-3), "the mask must act"


@torch.no_grad()
def test_a_mask_is_not_one_of_its_lookalikes(model, pixels):
    """Zeroing a slice of the attention's output, or keeping V's bias, gives other embeddings."""
    head, width = Head(5, 1), model.blocks[5].attn.head_dim
    with masked(model, [head]):
        soft = model.encode_images(pixels)
    slice_ = slice(head.index * width, (head.index + 1) * width)
    output_zeroed = model.blocks[5].attn.register_forward_hook(
        lambda _m, _i, output: (output[0].index_fill(-1, torch.arange(64)[slice_], 0), None)
    )
    try:
        assert not torch.allclose(soft, model.encode_images(pixels), atol=1e-4)
    finally:
        output_zeroed.remove()
    bias_kept = copy.deepcopy(model)
    bias_kept.blocks[5].attn.in_proj_weight[128:][slice_] = 0
    assert not torch.allclose(soft, bias_kept.encode_images(pixels), atol=1e-4)


@torch.no_grad()
def test_masking_no_head_changes_nothing(model, pixels):
    with masked(model, []):
        embedding = model.encode_images(pixels)
    assert torch.equal(embedding, model.encode_images(pixels))


@torch.no_grad()
def test_order_and_nesting_of_masks_do_not_matter(model, pixels):
    with masked(model, HEADS):
        together = model.encode_images(pixels)
    with masked(model, HEADS[::-1]):
        assert torch.equal(together, model.encode_images(pixels))
    with masked(model, HEADS[:1]), masked(model, HEADS[1:]):
        assert torch.equal(together, model.encode_images(pixels))


@torch.no_grad()
def test_the_model_is_bit_identical_afterwards_also_after_an_exception(model, pixels):
    weights = copy.deepcopy(model.state_dict())
    before = model.encode_images(pixels)
    with pytest.raises(ZeroDivisionError), masked(model, HEADS):
        raise ZeroDivisionError
    assert torch.equal(before, model.encode_images(pixels))
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert not any(block.attn.head_outputs._forward_hooks for block in model.blocks)


def test_a_mask_that_nothing_ran_under_is_an_error(model):
    with pytest.raises(CcsError, match=r"L2\.H0, L2\.H3, L5\.H1: masked, but no image"), masked(model, HEADS):
        pass


def test_a_head_outside_the_model_is_an_error(model):
    with pytest.raises(CcsError, match=r"L12\.H0: small has layers 0-5 of 4 heads each"), masked(model, [Head(12, 0)]):
        pass


@torch.no_grad()
def test_recorded_outputs_are_what_the_projection_reads(model, pixels):
    projected = {}
    attention = model.blocks[4].attn
    handle = attention.out_proj.register_forward_pre_hook(lambda _m, inputs: projected.update(z=inputs[0][:, 0]))
    try:
        with recorded(model, [4]) as outputs:
            model.encode_images(pixels)
    finally:
        handle.remove()
    torch.testing.assert_close(outputs[4].flatten(1), projected["z"])


def test_attention_that_is_no_plain_self_attention_is_refused():
    cross = torch.nn.MultiheadAttention(16, 2, kdim=8, vdim=8, batch_first=True)
    with pytest.raises(TypeError, match="Only batch-first self-attention"):
        HeadAttention.replacing(cross)
