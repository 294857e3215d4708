"""Laws of what silenced heads give instead of their outputs: each kind against a plain encoder with tensors replaced by hand."""

import hashlib
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from plain_vit import plain_contributions, plain_encode
from small_models import small_model, small_open_clip

from ccs_exp.clip import shared_prefix
from ccs_exp.clip.ablation import Donors, Means, Replacement, fingerprints
from ccs_exp.clip.direct import DirectEngine
from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Sample
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, scored_heads
from ccs_exp.scoring.decompose import ProbePass, decompose_images
from ccs_exp.scoring.donors import donors

LAYERS, HEADS = 6, 4
EVERY = scored_heads(LAYERS, HEADS, LAYERS)
CPU = Compute("cpu", progress=False)
SEEDS = (0, 7)


class Noise:
    """Random pictures; `copies` of them are pictures that are there before."""

    one_process = True
    class_names = ("noise",)

    def __init__(self, size=20, copies=0):
        self.size, self.different = size, size - copies

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        pixels = np.random.default_rng(index % self.different).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Sample(f"n{index}", Image.fromarray(pixels), 0)


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 64 - 2


def images(size=20, copies=0):
    return ImageData(Noise(size, copies), to_tensor, batch_size=8)


PROBE = torch.stack([to_tensor(Noise()[index].image) for index in range(20)])
# of the images evaluated the first two are in the probe too
PIXELS = torch.cat([PROBE[:2], torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))])
IDS = [f"sample {index}" for index in range(8)]


def drawn_masks(seed, count=10):
    rng = random.Random(seed)
    return [frozenset()] + [frozenset(rng.sample(EVERY, rng.randint(1, 7))) for _ in range(count)]


MASKS = [*drawn_masks(0), frozenset(EVERY), *(frozenset({head}) for head in EVERY[::5]), frozenset({Head(5, 1)})]
OF_SEED = [SEEDS[number % 2] for number in range(len(MASKS))]


@pytest.fixture(scope="module")
def gathered(model):
    """What a pass over the probe gathers: means, mean coefficients, donors."""
    sums = decompose_images(model, images(), CPU, sums=True).sums
    means = Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})
    return SimpleNamespace(
        mean=means, coefficients=sums.mean(sums.coefficients), resample=donors(ProbePass(model, images(), CPU), range(LAYERS))
    )


def engines(ablation):
    return [PlainEngine(ablation), *(SharedPrefixEngine(size, ablation) for size in (1, 3, 64))]


def plain_donor(draw, sample, pixels):
    """By hand: the hash says which image of the probe, and the next one where it is the sample's own."""
    row = int.from_bytes(hashlib.sha256(f"{draw} {sample}".encode()).digest()[:8], "big") % len(PROBE)
    return (row + 1) % len(PROBE) if torch.equal(PROBE[row], pixels) else row


def by_hand(kind, masks, draws):
    """Each mask's embeddings by a plain encoder whose tensors are replaced."""
    clip = small_open_clip()
    of_probe = plain_encode(clip, PROBE).outputs
    expected = []
    for heads, draw in zip(masks, draws, strict=True):
        if kind == "mean":
            given = {head: of_probe[head.layer][:, head.index].double().mean(dim=0).float() for head in heads}
        else:
            rows = [plain_donor(draw, sample, own) for sample, own in zip(IDS, PIXELS, strict=True)]
            given = {head: of_probe[head.layer][rows, head.index] for head in heads}
        expected.append(plain_encode(clip, PIXELS, given).embedding)
    return torch.stack(expected)


@pytest.mark.parametrize("kind", ["mean", "resample"])
@torch.inference_mode()
def test_every_engine_equals_tensors_replaced_by_hand(model, gathered, kind):
    expected = by_hand(kind, MASKS, OF_SEED)
    for engine in engines(getattr(gathered, kind)):
        found = engine.encode(model, PIXELS, MASKS, IDS, OF_SEED)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    zero = PlainEngine().encode(model, PIXELS, MASKS)
    assert (zero[1:] - expected[1:]).abs().amax(dim=(1, 2)).min() > 1e-4, "the kinds must differ"


@torch.inference_mode()
def test_direct_replaces_contributions_in_the_embedding(model, gathered):
    """Against contributions that a plain encoder computes: what heads change in logits adds up, with all else, to the whole."""
    clip = small_open_clip()
    of_heads, rest = plain_contributions(clip, PIXELS)
    probe_heads, probe_rest = plain_contributions(clip, PROBE)
    changes = probe_heads.mean(dim=2, keepdim=True) - of_heads  # [layers, heads, batch, dim]
    plain = plain_encode(clip, PIXELS).embedding
    masks = [frozenset(), *(frozenset({head}) for head in EVERY), *drawn_masks(3)]
    found = DirectEngine(gathered.coefficients).encode(model, PIXELS, masks)
    expected = torch.stack([plain + sum(changes[head] for head in heads) if heads else plain for heads in masks])
    torch.testing.assert_close(found, expected.float(), atol=1e-6, rtol=0)
    classifier = torch.randn(48, 9, generator=torch.Generator().manual_seed(0))
    logits = 100 * found @ classifier
    single = dict(zip(EVERY, logits[1 : 1 + len(EVERY)] - logits[0], strict=True))
    for heads, of_mask in zip(masks, logits, strict=True):
        torch.testing.assert_close(sum(single[head] for head in heads) + logits[0], of_mask, atol=1e-3, rtol=0)
    whole = plain_encode(clip, PROBE).embedding.mean(dim=0) - plain
    other = probe_rest.mean(dim=0) - rest
    torch.testing.assert_close(
        sum(single.values()) + 100 * other.float() @ classifier, 100 * whole @ classifier, atol=1e-2, rtol=0
    )
    assert other.norm() > 0.01 and (100 * whole @ classifier).abs().mean() > 1, "both must matter"


@torch.inference_mode()
def test_silencing_nothing_changes_nothing_by_any_kind(model, gathered):
    original = PlainEngine().encode(model, PIXELS, [frozenset()])[0]
    for engine in [*engines(gathered.mean), *engines(gathered.resample), DirectEngine(gathered.coefficients)]:
        found = engine.encode(model, PIXELS, [frozenset(), frozenset()], IDS, list(SEEDS))
        assert torch.equal(found[0], found[1])
        torch.testing.assert_close(found[0], original, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_a_constant_head_is_its_own_mean():
    """V's weights are zero, so the head gives V's bias whatever it sees."""
    model, head = small_model(), Head(3, 1)
    model.blocks[3].attn.in_proj_weight[128 + 16 : 128 + 32] = 0
    sums = decompose_images(model, images(), CPU, sums=True).sums
    means = Means({layer: mean.float() for layer, mean in sums.mean(sums.outputs).items()})
    masks = [frozenset(), frozenset({head}), frozenset({Head(3, 0)})]
    for engine in [*engines(means), DirectEngine(sums.mean(sums.coefficients))]:
        original, constant, other = engine.encode(model, PIXELS, masks)
        if not isinstance(engine, DirectEngine):  # c_h varies with the norms of token and embedding, which other heads move
            torch.testing.assert_close(constant, original, atol=1e-6, rtol=0)
        assert (other - original).abs().max() > 1e-4
    zero = PlainEngine().encode(model, PIXELS, masks)
    assert (zero[1] - zero[0]).abs().max() > 1e-4, "zero is not the head's mean"


@pytest.mark.parametrize("kind", ["mean", "resample", "direct"])
@torch.inference_mode()
def test_neither_order_nor_company_of_masks_matters(model, gathered, kind):
    make = (lambda: DirectEngine(gathered.coefficients)) if kind == "direct" else lambda: SharedPrefixEngine(1, getattr(gathered, kind))
    whole = make().encode(model, PIXELS, MASKS, IDS, OF_SEED)
    backwards = make().encode(model, PIXELS, MASKS[::-1], IDS, OF_SEED[::-1]).flip(0)
    assert torch.equal(whole, backwards)
    for number in range(0, len(MASKS), 4):
        alone = make().encode(model, PIXELS, MASKS[number : number + 1], IDS, OF_SEED[number : number + 1])
        assert torch.equal(alone[0], whole[number])


@torch.inference_mode()
def test_no_image_is_its_own_donor_and_copies_count_once(model):
    """Sixteen images, of which four are copies: each image is evaluated on others' outputs, whatever it is called."""
    found = donors(ProbePass(model, images(16, copies=4), CPU), range(LAYERS))
    assert len(found.fingerprints) == 12 and all(len(outputs) == 12 for outputs in found.outputs.values())
    assert torch.equal(found.fingerprints, fingerprints(PROBE[:12])) and len(set(fingerprints(PROBE).tolist())) == 20
    seen, head = set(), Head(4, 2)
    for seed in range(30):
        replacement = found.replacements(PROBE[:8], IDS, [seed])[0]
        rows = replacement.rows
        assert (rows != torch.arange(8)).all() and torch.equal(replacement.of(head), found.outputs[4][rows, 2])
        seen |= set(rows.tolist())
    assert seen == set(range(12))


@torch.inference_mode()
def test_a_donor_follows_from_sample_and_seed_alone(model, gathered):
    whole = gathered.resample.replacements(PIXELS, IDS, [0, 7, 0])
    assert whole[0] is whole[2] and not torch.equal(whole[0].rows, whole[1].rows)
    part = gathered.resample.replacements(PIXELS[3:5], IDS[3:5], [7])[0]
    assert torch.equal(part.rows, whole[1].rows[3:5])
    with pytest.raises(ValueError, match="0 sample_ids of 8 images"):
        PlainEngine(gathered.resample).encode(model, PIXELS, [frozenset({Head(5, 0)})])


@torch.inference_mode()
def test_a_batch_that_is_cut_keeps_each_samples_donor(model, gathered, monkeypatch):
    real = shared_prefix._encode

    def small_memory(model, part, masks, stack):
        if len(part) > 3:
            raise torch.OutOfMemoryError("no room")
        return real(model, part, masks, stack)

    expected = SharedPrefixEngine(1, gathered.resample).encode(model, PIXELS, MASKS, IDS, OF_SEED)
    monkeypatch.setattr(shared_prefix, "_encode", small_memory)
    engine = SharedPrefixEngine(1, gathered.resample)
    torch.testing.assert_close(engine.encode(model, PIXELS, MASKS, IDS, OF_SEED), expected, atol=1e-6, rtol=0)
    assert engine.parts == 4


@torch.inference_mode()
def test_seeds_share_the_work_before_they_part(model, gathered, monkeypatch):
    rows = [0] * LAYERS
    for layer, block in enumerate(model.blocks):
        def counted(z, layer=layer, real=block.attn.project):
            result = real(z)
            rows[layer] += len(result) // len(PIXELS)
            return result

        monkeypatch.setattr(block.attn, "project", counted)
    masks = [frozenset(), frozenset({Head(3, 0)}), frozenset({Head(3, 0)}), frozenset({Head(5, 1)})]
    SharedPrefixEngine(64, gathered.resample).encode(model, PIXELS, masks, IDS, [0, 0, 7, 0])
    assert rows == [1, 1, 1, 3, 3, 4]


@torch.inference_mode()
def test_masked_takes_a_replacement_and_leaves_the_model_as_it_was(model, gathered):
    before, heads, means = model.encode_images(PIXELS), MASKS[3], Replacement(gathered.mean.outputs)
    expected = by_hand("mean", [heads], [0])[0]
    with masked(model, heads, means):
        torch.testing.assert_close(model.encode_images(PIXELS), expected, atol=1e-6, rtol=0)
    with masked(model, heads), masked(model, heads, means):  # the inner block decides
        torch.testing.assert_close(model.encode_images(PIXELS), expected, atol=1e-6, rtol=0)
    with pytest.raises(ZeroDivisionError), masked(model, heads, means):
        raise ZeroDivisionError
    assert torch.equal(before, model.encode_images(PIXELS))
    assert not any(block.attn.head_outputs._forward_hooks for block in model.blocks)


def test_gradients_flow_past_a_replaced_head(model, gathered):
    seen = PIXELS.clone().requires_grad_()
    with masked(model, [Head(4, 1)], Replacement(gathered.mean.outputs)):
        model.encode_images(seen).sum().backward()
    assert seen.grad.abs().max() > 0


def test_sums_change_no_bit_of_the_moments_and_do_not_grow(model):
    alone = decompose_images(model, images(), CPU).moments
    moments, sums, _ = decompose_images(model, images(), CPU, sums=True)
    assert torch.equal(alone.first, moments.first) and torch.equal(alone.second, moments.second)
    assert sums.num_images == 20 and {values.dtype for values in sums.outputs.values()} == {torch.float64}
    shapes = [tuple(values.shape) for values in sums.outputs.values()]
    assert shapes == [(4, 17, 16)] * 5 + [(4, 1, 16)]  # of the last layer the class token
    few = decompose_images(model, images(3), CPU, sums=True).sums
    assert [tuple(values.shape) for values in few.outputs.values()] == shapes
    scored = sums.coefficients[5].flatten()
    torch.testing.assert_close(scored, moments.first[-4:, :16].flatten(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [1, 4])
def test_a_probe_of_one_image_is_an_error(model, size):
    """Of one image, or of one image four times."""
    probe = images(size, copies=size - 1)
    with pytest.raises(CcsError, match="at least two different images"):
        donors(ProbePass(model, probe, CPU), range(2, LAYERS))
    if size == 1:
        sums = decompose_images(model, probe, CPU, sums=True).sums
        for found in (sums.outputs, sums.coefficients):
            with pytest.raises(CcsError, match="The probe has 1 image"):
                sums.mean(found)


def test_a_head_whose_donors_are_unknown_is_an_error(model, gathered):
    few = Donors({5: gathered.resample.outputs[5]}, gathered.resample.fingerprints)
    with pytest.raises(CcsError, match=r"L2\.H0: .* layers 5 only"):
        SharedPrefixEngine(1, few).encode(model, PIXELS, [frozenset({Head(2, 0)})], IDS)
    with pytest.raises(CcsError, match=r"L6\.H0: small has layers 0-5"):
        DirectEngine(gathered.coefficients).encode(model, PIXELS, [frozenset({Head(6, 0)})])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precisions_stay_within_their_stated_error(model, gathered, dtype):
    for ablation in (gathered.mean, gathered.resample):
        exact = PlainEngine(ablation).encode(model, PIXELS, MASKS, IDS, OF_SEED)
        with torch.autocast("cpu", dtype=dtype):
            found = SharedPrefixEngine(4, ablation).encode(model, PIXELS, MASKS, IDS, OF_SEED)
        assert 0 < (found.float() - exact).norm(dim=-1).max() < 0.02
