"""Long checks of real architectures with random weights."""

import pytest
import torch

from ccs_exp.clip.hooks import masked
from ccs_exp.clip.loading import load_clip, open_clip
from ccs_exp.heads import Head


@pytest.mark.full
@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "ViT-L-14"])
@torch.no_grad()
def test_a_real_architecture_keeps_its_numbers_and_obeys_masks(name):
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    model = load_clip(name, seed=3)
    torch.manual_seed(3)
    original = open_clip.create_model(name).eval()
    embedding = model.clip.encode_image(pixels)
    torch.testing.assert_close(embedding, original.encode_image(pixels), atol=1e-5, rtol=0)
    head, width = Head(model.layers - 1, 3), 64
    with masked(model, [head]):
        pruned = model.clip.encode_image(pixels)
    original.visual.transformer.resblocks[-1].attn.out_proj.weight[:, 3 * width : 4 * width] = 0
    torch.testing.assert_close(pruned, original.encode_image(pixels), atol=1e-5, rtol=0)
