"""The laws of decomposition and silencing, for every kind of image encoder that can be decomposed."""

import copy
from dataclasses import dataclass
from functools import cache

import open_clip
import psutil
import pytest
import torch
from frozen_readout import Map, frozen_readout
from plain_textspan import plain_textspan
from small_kinds import KINDS, draw, small_kind
from torch import Tensor, nn
from torch.nn import functional as F

from ccs_exp.clip import architecture
from ccs_exp.clip.ablation import Ablation, Donors, Means, fingerprints
from ccs_exp.clip.architecture import encoder_shape, memory_need
from ccs_exp.clip.direct import DirectEngine
from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked, observed, recorded
from ccs_exp.clip.kinds import check_encoder
from ccs_exp.clip.layers import float64
from ccs_exp.clip.loading import load_clip, unloaded
from ccs_exp.clip.model import ClipModel, WeightsOrigin
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.clip.text import encode_texts
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import textspan

PIXELS = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(3))  # more than are read at once
FEW = PIXELS[:4]
IDS = [f"image {number}" for number in range(len(FEW))]
HEADS = [Head(1, 0), Head(1, 3), Head(4, 2)]
MASKS = [frozenset(), frozenset(HEADS), frozenset({Head(2, 1)}), frozenset({Head(2, 1), Head(4, 0)}), frozenset({Head(4, 0)})]

every_kind = pytest.mark.parametrize("kind", KINDS)
some_kinds = pytest.mark.parametrize("kind", ["average", "CoCa", "SigLIP", "EVA02-E"])
built = cache(small_kind)


def blocks(visual: nn.Module):
    return visual.trunk.blocks if hasattr(visual, "trunk") else visual.transformer.resblocks


@dataclass
class Pieces:
    """What a pass writes to the tokens: input, each layer's attention and MLP; tokens at the end; the embedding, normalised."""

    input: Tensor
    attention: list[Tensor]
    mlps: list[Tensor]
    end: Tensor
    embedding: Tensor
    readout: Map  # normalised too
    written: list[Tensor]  # by the heads of each layer, [heads, batch, tokens, width]
    biases: list[Tensor]


@torch.no_grad()
def pieces(original: nn.Module, pixels: Tensor) -> Pieces:
    """In double precision, of the libraries' own modules."""
    visual = copy.deepcopy(original.visual).double()
    found: dict[str, list[Tensor]] = {name: [] for name in ("in", "z", "sum", "attention", "mlp", "out")}
    handles = []

    def see(module, name, before=False):
        if before:
            handles.append(module.register_forward_pre_hook(lambda _m, args: found[name].append(args[0].clone())))
        else:
            handles.append(module.register_forward_hook(lambda _m, _i, y: found[name].append(y.clone())))

    of_timm, layers = hasattr(visual, "trunk"), blocks(visual)
    for block in layers:
        see(block, "in", before=True)
        see(block.drop_path1 if of_timm else block.ls_1, "attention")
        see(block.drop_path2 if of_timm else block.ls_2, "mlp")
        see(block, "out")
        if isinstance(block.attn, nn.MultiheadAttention):  # whose output projection cannot be hooked: its heads by hand

            def by_hand(module, args, _output):
                q, k, v = F.linear(args[0], module.in_proj_weight, module.in_proj_bias).unflatten(-1, (3, module.num_heads, -1)).unbind(2)
                mixing = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / q.shape[-1] ** 0.5).softmax(dim=-1)
                found["z"].append((mixing @ v.transpose(1, 2)).transpose(1, 2).flatten(2))

            handles.append(block.attn.register_forward_hook(by_hand))
        else:
            see(block.attn.proj if of_timm else block.attn.out_proj, "z", before=True)
    raw = visual(pixels.double())
    raw = raw[0] if isinstance(raw, tuple) else raw
    for handle in handles:
        handle.remove()
    written, biases = [], []
    for block, z, added in zip(layers, found["z"], found["attention"], strict=True):
        output = block.attn.proj if of_timm else block.attn.out_proj
        heads = block.attn.num_heads
        parts = torch.einsum("btho,who->hbtw", z.unflatten(-1, (heads, -1)), output.weight.unflatten(1, (heads, -1)))
        bias = torch.zeros(parts.shape[-1], dtype=torch.float64) if output.bias is None else output.bias
        post_norm = type(block).__name__ in ("ResPostBlock", "ResPostRelPosBlock", "EvaBlockPostNorm")
        norm = block.norm1 if post_norm else getattr(block, "ln_attn", nn.Identity())
        if isinstance(norm, nn.LayerNorm):
            whole = parts.sum(dim=0) + bias
            sigma = torch.sqrt(whole.var(dim=-1, correction=0, keepdim=True) + norm.eps)
            parts = norm.weight * (parts - parts.mean(dim=-1, keepdim=True)) / sigma
            bias = norm.weight * (bias - bias.mean()) / sigma + norm.bias
        scales = (getattr(block, "gamma_1", None), *(getattr(getattr(block, name, None), "gamma", None) for name in ("ls1", "ls_1")))
        scale = next((scale for scale in scales if scale is not None), 1.0)
        written.append(parts * scale)
        biases.append((bias * scale).expand_as(added))
        torch.testing.assert_close(written[-1].sum(dim=0) + biases[-1], added, atol=1e-10, rtol=0)
    x = found["out"][-1]
    affine = frozen_readout(visual, x)
    length = raw.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(affine(x), raw, atol=1e-9, rtol=0)
    return Pieces(
        found["in"][0], found["attention"], found["mlp"], x, raw / length, lambda v: affine(v) / length, written, biases
    )  # fmt: skip


def check_sum_law(model: ClipModel, found: Pieces, pixels: Tensor) -> float:
    """The relative residual of the sum of all components; every head is compared with the frozen read-out too."""
    layers = range(model.layers)
    with torch.inference_mode():
        readout = read_heads(model, pixels, layers)
        ours = torch.einsum("bhk,hkd->hbd", readout.coefficients, contribution_maps(model, layers, "direct"))
    nothing = found.readout(torch.zeros_like(found.end))  # what biases of norms, pool and projection give, and the pool's MLP
    theirs = torch.stack([found.readout(written) - nothing for of_layer in found.written for written in of_layer])
    scale = theirs.norm(dim=-1).max()
    assert (ours - theirs).norm(dim=-1).max() < 1e-4 * scale
    others = [found.readout(part) - nothing for part in (found.input, *found.mlps, *found.biases)]
    total = ours.sum(dim=0) + sum(others) + nothing
    assert ours.sum(dim=0).norm(dim=-1).min() > 0.02, "heads must carry part of the embedding"
    residual = float((total - found.embedding).norm(dim=-1).max())
    assert residual < 1e-4
    assert (float64(readout.embedding) - found.embedding).norm(dim=-1).max() < 1e-4
    return residual


@every_kind
def test_heads_mlps_biases_input_and_the_pools_own_parts_sum_to_the_embedding(kind):
    model, original = built(kind)
    check_sum_law(model, pieces(original, PIXELS[:18]), PIXELS[:18])


@every_kind
@torch.inference_mode()
def test_hook_points_change_no_number_and_no_key(kind):
    model, original = built(kind)
    assert list(model.clip.state_dict()) == list(original.state_dict())
    theirs = F.normalize(original.encode_image(FEW), dim=-1)
    for ours in (F.normalize(model.clip.encode_image(FEW), dim=-1), model.encode_images(FEW)):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@every_kind
@torch.inference_mode()
def test_a_mask_equals_weights_edited_by_hand(kind):
    model, original = built(kind)
    edited = copy.deepcopy(original)
    for head in HEADS:
        attention = blocks(edited.visual)[head.layer].attn
        output = getattr(attention, "proj", None) or attention.out_proj
        output.weight[:, head.index * 16 : (head.index + 1) * 16] = 0
    theirs = F.normalize(edited.encode_image(FEW), dim=-1)
    with masked(model, HEADS):
        by_library, ours = F.normalize(model.clip.encode_image(FEW), dim=-1), model.encode_images(FEW)
    torch.testing.assert_close(by_library, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (theirs - model.encode_images(FEW)).norm(dim=-1).min() > 1e-3, "the mask must act"


def outputs_of(model: ClipModel, pixels: Tensor) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    with observed(model, range(model.layers), lambda layer, z: found.update({layer: z})):
        model.encode_images(pixels)
    return found


@every_kind
def test_the_shared_engine_equals_one_pass_for_each_mask(kind):
    check_engines(built(kind)[0], "zero")


@some_kinds
@pytest.mark.parametrize("ablation", ["mean", "resample"])
def test_so_it_does_where_silenced_heads_give_other_outputs(kind, ablation):
    check_engines(built(kind)[0], ablation)


@torch.inference_mode()
def check_engines(model: ClipModel, ablation: str) -> None:
    outputs = outputs_of(model, PIXELS[8:14])
    by = {
        "zero": Ablation(),
        "mean": Means({layer: z.mean(dim=0) for layer, z in outputs.items()}),
        "resample": Donors(outputs, fingerprints(PIXELS[8:14])),
    }[ablation]
    plain = PlainEngine(by).encode(model, FEW, MASKS, IDS)
    for stack in (1, 3):
        torch.testing.assert_close(SharedPrefixEngine(stack, by).encode(model, FEW, MASKS, IDS), plain, atol=1e-5, rtol=0)
    assert all((plain[mask] - plain[0]).norm(dim=-1).min() > 1e-4 for mask in range(1, len(MASKS)))


@some_kinds
@torch.inference_mode()
def test_direct_ablation_puts_mean_contributions_in_place(kind):
    model, original = built(kind)
    found = pieces(original, FEW)
    coefficients = read_heads(model, FEW, range(model.layers)).coefficients[..., : model.tower.coefficients_per_head]
    means = dict(enumerate(coefficients.mean(dim=0).unflatten(0, (model.layers, -1))))
    ours = DirectEngine(means).encode(model, FEW, [frozenset(HEADS)])[0]
    nothing = found.readout(torch.zeros_like(found.end))
    theirs = found.embedding
    for head in HEADS:
        contribution = found.readout(found.written[head.layer][head.index]) - nothing
        theirs = theirs + contribution.mean(dim=0) - contribution
    torch.testing.assert_close(ours.double(), theirs, atol=1e-4, rtol=0)


@some_kinds
@torch.inference_mode()
def test_textspan_picks_what_the_plain_algorithm_picks(kind):
    model, original = built(kind)
    pixels = torch.cat([PIXELS, PIXELS.flip(-1)])
    layers = range(3, 5)
    found = [pieces(original, part) for part in pixels.split(16)]
    texts = F.normalize(torch.randn(60, model.embedding_dim, generator=torch.Generator().manual_seed(1)), dim=-1)
    coefficients = read_heads(model, pixels, layers).coefficients
    heads = tuple(Head(layer, index) for layer in layers for index in range(4))
    # many directions of a pooled head are small: both algorithms must draw the line of rounding at the same place
    zero = (10 * 2.3e-16 * min(coefficients.shape[-1], model.embedding_dim)) ** 0.5
    spans = textspan(HeadMoments.of(heads, coefficients), contribution_maps(model, layers, "direct"), texts)
    for head, picks, explained in zip(heads, spans.picks.tolist(), spans.explained_variance, strict=True):
        contributions = [
            part.readout(part.written[head.layer][head.index]) - part.readout(torch.zeros_like(part.end)) for part in found
        ]
        expected, variance = plain_textspan(torch.cat(contributions).numpy(), texts.numpy(), zero=zero)
        assert picks == expected
        assert float(explained) == pytest.approx(variance, abs=1e-4)


def test_what_only_plain_encoders_have_is_refused_for_others():
    model = built("SigLIP")[0]
    with pytest.raises(CcsError, match=r"textspan=reference is defined .*SigLIP is of the kind timm, latent query. Use textspan=direct"):
        contribution_maps(model, range(1), "reference")
    with pytest.raises(CcsError, match="SigLIP is not read out at a class token"), recorded(model, [0]):
        pass


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RN50", "a ModifiedResNet, and a ResNet has no attention heads"),
        pytest.param("convnext_base", "a ConvNeXt, and its layers are convolutions", marks=pytest.mark.full),
        pytest.param("MobileCLIP-S1", "a FastVit, and its layers mix tokens by convolution", marks=pytest.mark.full),
        pytest.param("swin_base_patch4_window7_224", "a SwinTransformer, and its tokens are merged", marks=pytest.mark.full),
    ],
)
def test_what_cannot_be_decomposed_is_refused_by_name_with_what_can(name, reason):
    with pytest.raises(CcsError, match=f"heads of {name} cannot be read: its image encoder is {reason}.*SigLIP.*class-token"):
        check_encoder(unloaded(name), name)


def _with(**attributes):
    def changed(clip):
        for path, value in attributes.items():
            *owners, name = path.split("__")
            owner = clip.visual
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, name, value)

    return changed


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("average", _with(pool_type="none"), "its pooling 'none' is not known"),
        ("CoCa", _with(pool_type="avg"), "its attentional pooling is neither CoCa's nor a latent query's"),
        ("custom blocks", lambda clip: setattr(blocks(clip.visual)[2].attn, "scaled_cosine", True), "its attention is by scaled cosines"),
        ("class token", lambda clip: blocks(clip.visual).insert(1, nn.Identity()), "layer 1 is a Identity"),
        ("EVA01", _with(trunk__global_pool="avgmax"), "its pooling 'avgmax' is not linear"),
        ("EVA01", _with(trunk__norm=nn.RMSNorm(64)), "its last norm is a RMSNorm"),
        ("EVA02", _with(trunk__rope_mixed=True), "its positions differ from layer to layer"),
        ("ViTamin", _with(head=nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 48))), "its projection is not linear"),
        ("SigLIP", _with(trunk__attn_pool__latent_len=2), "its pooling by a AttentionPoolLatent of this form"),
        ("MobileCLIP", lambda clip: setattr(blocks(clip.visual)[3], "attn", nn.Identity()), "layer 3 is a Block with Identity"),
    ],
)
def test_forms_that_are_not_known_are_refused(kind, change, reason):
    clip = KINDS[kind]()
    change(clip)
    with pytest.raises(CcsError, match=f"heads of mine cannot be read: {reason}"):
        check_encoder(clip, "mine")


OF_IMAGE = 3 * 224 * 224  # numbers


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ViT-B-16-SigLIP", (12, 12, OF_IMAGE, 196, 768, False, 768, 768)),
        pytest.param("EVA02-B-16", (12, 12, OF_IMAGE, 197, 768, True, 64, 512), marks=pytest.mark.full),
        pytest.param("coca_ViT-B-32", (12, 12, OF_IMAGE, 50, 768, False, 512, 512), marks=pytest.mark.full),
        pytest.param("ViTamin-S", (14, 6, OF_IMAGE, 196, 384, False, 64, 384), marks=pytest.mark.full),
        pytest.param("vit_relpos_medium_patch16_cls_224", (12, 8, OF_IMAGE, 197, 512, True, 64, 512), marks=pytest.mark.full),
    ],
)
def test_shape_and_memory_are_known_without_weights(name, shape, monkeypatch):
    monkeypatch.setattr(architecture, "PACKED", True)
    assert encoder_shape(name) == shape and encoder_shape("RN50") is None
    sizes = {"batch_size": 64, "stack_size": 1, "parting_layers": 4, "workers": 2}
    need = memory_need(name, None, on_cpu=False, **sizes)
    assert need.weights == sum(parameter.nbytes for parameter in unloaded(name).parameters())
    assert memory_need(name, None, on_cpu=True, **sizes).weights > need.weights


TRUE_SHAPES = ("ViT-B-32", "coca_ViT-B-32", "ViT-L-14-CLIPA", "ViT-B-16-SigLIP", "ViT-B-16-SigLIP2-256", "ViT-SO400M-14-SigLIP")
TRUE_SHAPES += ("PE-Core-B-16", "vit_medium_patch16_gap_256", "vit_relpos_medium_patch16_cls_224")
TRUE_SHAPES += ("EVA02-B-16", "EVA01-g-14", "ViTamin-S", "ViTamin-B", "MobileCLIP-B", "MobileCLIP2-L-14")
LARGE = ("ViT-SO400M-14-SigLIP", "EVA01-g-14")  # their pieces in double precision take more than 24 GB


@pytest.mark.full
@pytest.mark.parametrize("name", TRUE_SHAPES)
@torch.no_grad()
def test_true_shapes_obey_the_sum_law_and_masks(name):
    from ccs_exp.clip.loading import _build

    if name in LARGE and psutil.virtual_memory().available < 48e9:
        pytest.skip("too little memory: 48 GB")
    torch.manual_seed(0)
    clip = draw(_build(name, 0, "cpu"))
    original = copy.deepcopy(clip)
    model = ClipModel(clip, None, None, name, WeightsOrigin("random", None))
    pixels = torch.randn(2, 3, *model.image_size)
    check_sum_law(model, pieces(original, pixels), pixels)
    head = Head(model.layers - 2, 1)
    with masked(model, [head]):
        ours = model.encode_images(pixels)
    attention, width = blocks(original.visual)[head.layer].attn, model.tower.layers[0].head_dim
    (getattr(attention, "proj", None) or attention.out_proj).weight[:, width : 2 * width] = 0
    torch.testing.assert_close(ours, F.normalize(original.encode_image(pixels), dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "text", "cut"),
    [
        ("EVA02", {}, True),
        ("EVA02", {"proj_bias": True}, True),
        ("SigLIP", {"no_causal_mask": True, "pool_type": "last"}, False),
        ("EVA02", {"no_causal_mask": True, "use_pad_mask": True}, False),
        ("CoCa", None, False),
    ],
)
@torch.inference_mode()
def test_texts_are_cut_where_that_is_exact_and_nowhere_else(monkeypatch, kind, text, cut):
    """Text towers of their own: EVA, ViTamin, MobileCLIP and PE have causal ones, SigLIP reads its padding too."""
    clip, lengths = small_kind(kind)[0].clip, []
    context, end = (76, 63) if text is None else (77, 49407)
    if text is not None:
        torch.manual_seed(0)
        clip.text = open_clip.transformer.TextTransformer(vocab_size=49408, width=32, heads=2, layers=2, output_dim=48, **text).eval()
        clip.text.transformer.register_forward_pre_hook(lambda _module, args: lengths.append(args[0].shape[1]))
    tokens = torch.randint(1, end, (5, context), generator=torch.Generator().manual_seed(2))
    for row, place in enumerate((3, 9, 20, 5, 12)):
        tokens[row, place], tokens[row, place + 1 :] = end, 0
    monkeypatch.setattr("ccs_exp.clip.text.TEXT_BATCH", 2)
    ours = encode_texts(clip, lambda texts: tokens, ["a"] * 5, torch.device("cpu"))
    assert lengths == ([] if text is None else [6, 13, 21] if cut else [77] * 3)
    torch.testing.assert_close(ours, clip.encode_text(tokens), atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize(("kind", "batch", "shown"), [("CoCa", 256, True), ("class token", 2, True), ("class token", 256, False)])
@torch.inference_mode()
def test_long_work_on_texts_shows_how_many_are_encoded(monkeypatch, capsys, kind, batch, shown):
    clip, tokens = small_kind(kind)[0].clip, torch.randint(1, 64, (5, 76))
    monkeypatch.setattr("ccs_exp.clip.text.TEXT_BATCH", batch)
    encode_texts(clip, lambda texts: tokens, ["a"] * 5, torch.device("cpu"))
    assert capsys.readouterr().err == ""
    encode_texts(clip, lambda texts: tokens, ["a"] * 5, torch.device("cpu"), shown=True)
    assert ("Encoding texts" in (said := capsys.readouterr().err)) == ("5/5 texts" in said) == shown


def test_load_clip_gives_a_model_of_another_kind(monkeypatch):
    monkeypatch.setattr("ccs_exp.clip.loading._tokenizer", lambda *_: None)
    monkeypatch.setattr("ccs_exp.clip.loading._build", lambda *_: draw(KINDS["SigLIP"]()))
    model = load_clip("ViT-B-16-SigLIP")
    assert model.logit_bias == -10 and model.image_size == (32, 32) and model.embedding_dim == 64 and len(model.scored_heads) == 16
