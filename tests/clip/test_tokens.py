"""Parts of a head's contribution, token by token: they add up to it, and each is what that token alone gives."""

import pytest
import torch
from small_models import small_model

from ccs_exp.clip.hooks import recorded
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps, read_heads
from ccs_exp.clip.tokens import patch_grid, tokens_along
from ccs_exp.errors import CcsError

LAYERS = range(2, 6)


@torch.no_grad()
def test_tokens_add_up_to_the_contribution(model, pixels):
    maps = contribution_maps(model, LAYERS, "direct")
    texts = torch.nn.functional.normalize(torch.randn(5, model.embedding_dim, dtype=torch.float64), dim=-1)
    parts = tokens_along(model, pixels, LAYERS, maps[:, :-SHARED_COEFFICIENTS] @ texts.T)
    contributions = torch.einsum("bhk,hkd->bhd", read_heads(model, pixels, LAYERS).coefficients, maps)
    assert parts.shape == (8, 16, 17, 5)
    torch.testing.assert_close(parts.sum(dim=2), contributions @ texts.T, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_difference_of_texts_is_the_difference_of_their_maps(model, pixels):
    eye = torch.eye(16, dtype=torch.float64).expand(16, -1, -1)
    one, other, both = (tokens_along(model, pixels, LAYERS, d) for d in (eye[..., :1], eye[..., 1:2], eye[..., :1] - eye[..., 1:2]))
    torch.testing.assert_close(one - other, both)


@torch.no_grad()
def test_a_token_gives_what_plain_attention_says(model, pixels):
    """Against attention written out for one head and one token, from the tokens that enter the block."""
    layer, head, token = 4, 2, 7
    seen = {}
    block = model.blocks[layer]
    handle = block.ln_1.register_forward_hook(lambda _m, _i, output: seen.update(x=output))
    with recorded(model, [layer]):
        read = read_heads(model, pixels, range(layer, layer + 1))
    handle.remove()
    q, k, v = (seen["x"] @ block.attn.in_proj_weight.T + block.attn.in_proj_bias).double().split(64, dim=-1)
    q, k, v = (part[..., head * 16 : head * 16 + 16] for part in (q, k, v))
    weight = (q[:, :1] @ k.transpose(1, 2) / 4).softmax(dim=-1)[:, 0, token]
    expected = weight[:, None] * v[:, token] * read.coefficients[:, head, -3, None]
    parts = tokens_along(model, pixels, range(layer, layer + 1), torch.eye(16, dtype=torch.float64).expand(4, -1, -1))
    torch.testing.assert_close(parts[:, head, token], expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_patches_lie_where_they_are_in_the_image(model, pixels):
    """What a far patch shows changes that patch's part in the first layer, and no other patch's value."""
    rows, columns = patch_grid(model)
    assert (rows, columns) == (4, 4)
    changed = pixels.clone()
    changed[:, :, 8:16, 24:32] += 1  # the second row, the last column
    eye = torch.eye(16, dtype=torch.float64).expand(4, -1, -1)
    one, other = (tokens_along(model, images, range(1), eye) for images in (pixels, changed))
    scale = one.norm(dim=-1) / other.norm(dim=-1)  # attention and norm change by one factor, as directions do not
    turned = 1 - torch.nn.functional.cosine_similarity(one, other, dim=-1)
    place = 1 + 1 * columns + 3
    assert (turned[:, :, place] > 1e-6).all()
    others = [token for token in range(17) if token != place]
    assert turned[:, :, others].max() < 1e-9 and scale.isfinite().all()


def test_tokens_that_are_no_patches_are_refused():
    model = small_model()
    model.clip.visual.positional_embedding = torch.nn.Parameter(torch.zeros(19, 64))
    with pytest.raises(CcsError, match="no patches"):
        patch_grid(model)
