"""The image encoder in pieces, so that head masks and the class token's last block can stand between them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ccs_exp.clip.tower import Block, VisualTower


def patch_tokens(visual: VisualTower, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch tokens width"]:
    """Class token and patches as they enter the first block."""
    return visual._embeds(pixels)


def head_outputs(block: Block, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens head_dim"]:
    """The first half of a block: what its heads give, before the hook point."""
    return block.attn.heads(block.ln_1(x))


def class_token_head_outputs(block: Block, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads 1 head_dim"]:
    """The same at the class token alone: all that the last block needs, because the embedding is read from that token."""
    return block.attn.class_token_heads(block.ln_1(x))


def finish_block(
    block: Block, x: Float[Tensor, "*branches batch tokens width"], z: Float[Tensor, "masked_batch heads tokens head_dim"]
) -> Float[Tensor, "masked_batch tokens width"]:
    """The second half of a block: hook point, output projection and MLP, added to what came in.

    `x` has a leading axis of branches where the hook point makes several copies of the batch.
    """
    attended = block.ls_1(block.attn.project(z))
    x = (x + attended.view(*x.shape[:-2], *attended.shape[1:])).flatten(0, -3)
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def class_token(visual: VisualTower, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch width"]:
    """The class token after the last block."""
    *blocks, last = visual.transformer.resblocks
    x = patch_tokens(visual, pixels)
    for block in blocks:
        x = block(x)
    return finish_block(last, x[:, :1], class_token_head_outputs(last, x))[:, 0]


def embed(visual: VisualTower, token: Float[Tensor, "batch width"]) -> Float[Tensor, "batch dim"]:
    """From the class token after the last block to the image embedding, not normalised."""
    return visual.ln_post(token) @ visual.proj
