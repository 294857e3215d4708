"""The decomposition of the image embedding: what heads, MLPs, biases and the input add up to."""

import pytest
import torch
from small_models import small_model

from ccs_exp.clip.readout import contribution_maps, read_heads

VARIATIONS = {"plain": {}, "layer_scale": {"ls_init_value": 0.7}, "ln_after_pool": {"final_ln_after_pool": True}}


@pytest.fixture(scope="module", params=VARIATIONS.values(), ids=VARIATIONS)
def any_model(request):
    return small_model(3, **request.param)


def pieces(model, pixels):
    """The summands of the class token after the last block, other than what heads write: ``[batch, width]`` each."""
    mlps, inputs, tokens = [], [], []
    hooks = [
        model.blocks[0].register_forward_pre_hook(lambda _m, args: inputs.append(args[0][:, 0])),
        model.clip.visual.transformer.register_forward_hook(lambda _m, _i, x: tokens.append(x[:, 0])),
    ]
    hooks += [block.ls_2.register_forward_hook(lambda _m, _i, x: mlps.append(x[:, 0])) for block in model.blocks]
    embedding = model.clip.encode_image(pixels)
    for hook in hooks:
        hook.remove()
    scales = [getattr(block.ls_1, "gamma", torch.ones(())) for block in model.blocks]
    biases = [block.attn.out_proj.bias * scale for block, scale in zip(model.blocks, scales, strict=True)]
    return inputs[0], mlps, biases, tokens[0], embedding


@torch.no_grad()
def test_heads_mlps_biases_and_input_sum_to_the_embedding(any_model, pixels):
    model = any_model
    layers = range(model.layers)
    readout = read_heads(model, pixels, layers)
    heads = torch.einsum("bhk,hkd->bhd", readout.coefficients, contribution_maps(model, layers, "direct"))
    first, mlps, biases, x, embedding = pieces(model, pixels)
    norm = model.clip.visual.ln_post
    sigma = torch.sqrt(x.double().var(dim=-1, correction=0, keepdim=True) + norm.eps)
    n = embedding.double().norm(dim=-1, keepdim=True)
    rest = first.double() + sum(mlps).double() + sum(biases).double()
    centred = rest - rest.mean(dim=-1, keepdim=True)
    other = (norm.weight.double() * centred / sigma + norm.bias.double()) @ model.clip.visual.proj.double() / n
    total = heads.sum(dim=1) + other
    expected = (embedding / embedding.norm(dim=-1, keepdim=True)).double()
    assert (total - expected).norm(dim=-1).max() / expected.norm(dim=-1).min() < 1e-4
    assert heads.norm() > 0.05 * expected.norm(), "heads must carry part of the embedding"


@torch.no_grad()
def test_reference_shares_sum_to_the_embedding_without_any_rest(model, pixels):
    """In clip_text_span's decomposition attention and MLPs share every bias, so that they alone sum to the embedding."""
    layers = range(model.layers)
    readout = read_heads(model, pixels, layers)
    heads = torch.einsum("bhk,hkd->bhd", readout.coefficients, contribution_maps(model, layers, "reference"))
    first, mlps, _biases, x, embedding = pieces(model, pixels)
    norm, x = model.clip.visual.ln_post, x.double()
    components = 2 * model.layers + 1
    sigma = torch.sqrt(x.var(dim=-1, correction=0, keepdim=True) + norm.eps)
    n = embedding.double().norm(dim=-1, keepdim=True)
    other = 0
    for piece in [first, *mlps]:
        centred = piece.double() - x.mean(dim=-1, keepdim=True) / components
        other = (
            other
            + (norm.weight.double() * centred / sigma + norm.bias.double() / components) @ model.clip.visual.proj.double() / n
        )
    expected = (embedding / embedding.norm(dim=-1, keepdim=True)).double()
    torch.testing.assert_close(heads.sum(dim=1) + other, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_silenced_head_contributes_nothing(model, pixels):
    from ccs_exp.clip.hooks import masked
    from ccs_exp.heads import Head

    with masked(model, [Head(5, 2)]):
        readout = read_heads(model, pixels, range(2, 6))
    assert (readout.coefficients[:, 14, :-3] == 0).all() and (readout.coefficients[:, 13, :-3] != 0).any()
