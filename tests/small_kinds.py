"""A small random model of every kind of image encoder that can be decomposed, built of the libraries' own modules."""

from __future__ import annotations  # noqa: I001  ccs_exp first: it declares torchvision's operators, and open_clip imports torchvision

from collections.abc import Callable
from functools import partial

import ccs_exp  # noqa: F401
import open_clip
import torch
from open_clip.timm_model import TimmModel
from small_models import SMALL_TEXT, SMALL_VISION
from timm.models.eva import Eva
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import nn

from ccs_exp.clip.model import ClipModel, WeightsOrigin

_TEXT = SMALL_TEXT | {"vocab_size": 64, "layers": 1}  # which no test here reads
_TIMM = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 5, "num_heads": 4}
_EVA02 = {"qkv_fused": False, "mlp_ratio": 8 / 3, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True}
_ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (4, 4)}
_PE = {"attn_type": "rope", "use_pre_transformer_norm": True, "rope_grid_offset": 1.0, "rope_grid_indexing": "xy", **_ROPE}
_CUSTOM = {"qk_norm": True, "scale_heads": True, "scale_attn_inner": True, "scale_attn": True, "scale_fc": True, "ls_init_value": 0.7}


def _open_clip(**vision: object) -> nn.Module:
    return open_clip.CLIP(48, SMALL_VISION | vision, _TEXT)


def _coca() -> nn.Module:
    text = _TEXT | {"embed_cls": True, "output_tokens": True, "context_length": 76}
    vision = SMALL_VISION | {"attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 5, "output_tokens": True}
    return open_clip.CoCa(48, _TEXT | {"context_length": 76, "attn_pooler_heads": 2}, text, vision)


def _timm(trunk: Callable[..., nn.Module], classes: int = 48, linear: bool = False, **options: object) -> nn.Module:
    """`trunk` in open_clip's own wrapper, which can only build what timm has a name for."""
    vision = {"image_size": 32, "patch_size": 32, "width": 16, "layers": 1, "head_width": 16}
    clip = open_clip.CustomTextCLIP(48 if classes else 64, vision, _TEXT, init_logit_bias=-10)
    visual = TimmModel.__new__(TimmModel)
    nn.Module.__init__(visual)
    visual.trunk, visual.image_size = trunk(**_TIMM, num_classes=0 if linear else classes, **options), (32, 32)
    visual.head = nn.Sequential()
    if linear:
        visual.head.add_module("drop", nn.Dropout(0.0))
        visual.head.add_module("proj", nn.Linear(64, 48, bias=False))
    clip.visual = visual
    return clip


KINDS: dict[str, Callable[[], nn.Module]] = {
    "class token": _open_clip,
    "average": lambda: _open_clip(pool_type="avg"),
    "average, norm after": lambda: _open_clip(pool_type="avg", final_ln_after_pool=True, no_ln_pre=True, ls_init_value=0.6),
    "custom blocks": lambda: _open_clip(**_CUSTOM),
    "custom blocks, average": lambda: _open_clip(pool_type="avg", **_CUSTOM),
    "CoCa": _coca,
    "SigLIP": lambda: _timm(VisionTransformer, 0, class_token=False, global_pool="map"),
    "timm average": lambda: _timm(VisionTransformer, linear=True, class_token=False, global_pool="avg", fc_norm=False),
    "ViTamin": lambda: _timm(VisionTransformer, linear=True, class_token=False, global_pool="avg", qk_norm=True),
    "MobileCLIP": lambda: _timm(VisionTransformer, global_pool="token", init_values=0.5, qkv_bias=False, proj_bias=False),
    "post-norm": lambda: _timm(VisionTransformer, global_pool="token", block_fn=ResPostBlock),
    "relative positions": lambda: _timm(VisionTransformerRelPos, linear=True, class_token=True, global_pool="token", init_values=0.4),
    "relative positions, shared": lambda: _timm(
        VisionTransformerRelPos, rel_pos_type="bias", shared_rel_pos=True, block_fn=ResPostRelPosBlock, init_values=1, fc_norm=True
    ),
    "EVA01": lambda: _timm(Eva, global_pool="token", init_values=0.3),
    "EVA02": lambda: _timm(Eva, global_pool="token", **_EVA02, **_ROPE),
    "EVA02-E": lambda: _timm(Eva, global_pool="avg", use_post_norm=True),
    "PE": lambda: _timm(Eva, global_pool="map", attn_pool_num_heads=2, norm_layer=partial(nn.LayerNorm, eps=1e-3), **_PE),
}


def draw(clip: nn.Module) -> nn.Module:
    """Draw every parameter of the image encoder anew, so that no bias, gain or head is trivially small."""
    for name, parameter in clip.visual.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.2 / parameter[0].numel() ** 0.5)
        else:
            nn.init.normal_(parameter, mean=0.0 if name.endswith("bias") else 1.0, std=0.15)
    return clip.eval().requires_grad_(False)


def small_kind(kind: str, seed: int = 0) -> tuple[ClipModel, nn.Module]:
    """A model of that kind, and the same weights in the libraries' modules, untouched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clip, original = draw(KINDS[kind]()), KINDS[kind]().eval().requires_grad_(False)
    original.load_state_dict(clip.state_dict())
    return ClipModel(clip, open_clip.SimpleTokenizer(), lambda image: image, kind, WeightsOrigin("random", None)), original
