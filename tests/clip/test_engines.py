"""Laws of the engines: however masks share work, each mask's embeddings are those of its own full pass."""

import random

import pytest
import torch
from small_models import small_model, small_open_clip
from torch.nn import functional as F

from ccs_exp.clip import shared_prefix
from ccs_exp.clip.attention import HeadAttention
from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, scored_heads

LAYERS, HEADS = 6, 4
SCORED = scored_heads(LAYERS, HEADS)
EVERY = scored_heads(LAYERS, HEADS, LAYERS)


def drawn_masks(seed, heads=SCORED, count=12):
    rng = random.Random(seed)
    return [frozenset()] + [frozenset(rng.sample(heads, rng.randint(0, 7))) for _ in range(count)]


MASKS = {
    "none": [frozenset()],
    "paper": drawn_masks(0),
    "all layers": drawn_masks(1, EVERY),
    "each head": [frozenset({head}) for head in SCORED],
    "no original": drawn_masks(2)[1:],
    "the same twice": [*drawn_masks(3), *drawn_masks(3)],
    "last layer only": [frozenset(), frozenset({Head(5, 0)}), frozenset({Head(5, 1), Head(5, 3)})],
    "all heads": [frozenset(EVERY), frozenset()],
}


@pytest.mark.parametrize("stack_size", [1, 2, 3, 64])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@torch.inference_mode()
def test_shared_equals_one_full_pass_for_each_mask(model, pixels, masks, stack_size):
    expected = PlainEngine().encode(model, pixels, masks)
    embeddings = SharedPrefixEngine(stack_size).encode(model, pixels, masks)
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)
    if len(set(masks)) == len(masks) > 1:
        assert (expected[0] - expected[1]).abs().max() > 1e-3, "the masks must act"


@pytest.mark.parametrize("vision", [{"ls_init_value": 0.7}, {"final_ln_after_pool": True}, {"no_ln_pre": True}])
@torch.inference_mode()
def test_variations_of_the_architecture(vision, pixels):
    model = small_model(3, **vision)
    masks = drawn_masks(4)
    expected = PlainEngine().encode(model, pixels, masks)
    torch.testing.assert_close(SharedPrefixEngine(4).encode(model, pixels, masks), expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_quick_gelu(pixels):
    from open_clip.transformer import QuickGELU

    def quick(clip):
        for block in [*clip.visual.transformer.resblocks, *clip.transformer.resblocks]:
            block.mlp.gelu = QuickGELU()
        return clip

    original, model = quick(small_open_clip()), small_model()
    quick(model.clip)
    expected = F.normalize(original.encode_image(pixels), dim=-1)
    torch.testing.assert_close(model.encode_images(pixels), expected, atol=1e-6, rtol=0)
    assert (expected - small_model().encode_images(pixels)).abs().max() > 1e-4, "the activation must matter"


@torch.inference_mode()
def test_the_plain_engine_is_open_clip_with_zeroed_columns(model, pixels):
    head = Head(4, 2)
    original = small_open_clip()
    original.visual.transformer.resblocks[4].attn.out_proj.weight[:, 32:48] = 0
    expected = F.normalize(original.encode_image(pixels), dim=-1)
    torch.testing.assert_close(PlainEngine().encode(model, pixels, [frozenset({head})])[0], expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_masks_of_an_outer_block_apply_too(model, pixels):
    outer, masks = frozenset({Head(3, 1)}), drawn_masks(5)
    with masked(model, outer):
        embeddings = SharedPrefixEngine(4).encode(model, pixels, masks)
    expected = PlainEngine().encode(model, pixels, [mask | outer for mask in masks])
    torch.testing.assert_close(embeddings, expected, atol=1e-6, rtol=0)


@torch.inference_mode()
def test_the_order_of_masks_does_not_matter(model, pixels):
    masks = drawn_masks(6)
    forwards = SharedPrefixEngine(64).encode(model, pixels, masks)
    backwards = SharedPrefixEngine(64).encode(model, pixels, masks[::-1])
    torch.testing.assert_close(forwards, backwards.flip(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("stack_size", [1, 3, 64])
@torch.inference_mode()
def test_the_order_of_masks_moves_no_bit(model, pixels, stack_size):
    masks = drawn_masks(11)
    order = random.Random(11).sample(range(len(masks)), len(masks))
    given = SharedPrefixEngine(stack_size).encode(model, pixels, masks)
    assert torch.equal(SharedPrefixEngine(stack_size).encode(model, pixels, [masks[place] for place in order]), given[order])


@pytest.mark.parametrize("stack_size", [1, 3, 64])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@torch.inference_mode()
def test_the_layer_passes_that_are_said_are_those_that_are_taken(model, pixels, masks, stack_size, monkeypatch):
    """Whatever the stack and the order of masks: the least that sharing allows."""
    taken = [0] * LAYERS
    for layer, block in enumerate(model.blocks):
        monkeypatch.setattr(block.attn, "project", counted(block.attn.project, taken, layer, None))
    order = random.Random(12).sample(masks, len(masks))
    SharedPrefixEngine(stack_size).encode(model, pixels, order)
    said = SharedPrefixEngine(stack_size).layer_passes(LAYERS, masks)
    assert sum(taken) == said * len(pixels)
    assert LAYERS <= said <= PlainEngine().layer_passes(LAYERS, masks) == LAYERS * len(masks)


def test_seeds_part_masks_from_their_first_silenced_head_on():
    head, passes = frozenset({Head(4, 0)}), SharedPrefixEngine().layer_passes
    assert passes(LAYERS, [head, head], [0, 0]) == LAYERS
    assert passes(LAYERS, [head, head], [0, 1]) == LAYERS + 2


@torch.inference_mode()
def test_the_model_is_left_as_it_was_also_after_an_error(pixels, monkeypatch):
    model = small_model()
    before = model.encode_images(pixels)
    hooks = [len(model.head_outputs(layer)._forward_hooks) for layer in range(LAYERS)]
    SharedPrefixEngine(2).encode(model, pixels, drawn_masks(7))
    monkeypatch.setattr(model.tower.readout, "embed", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SharedPrefixEngine(2).encode(model, pixels, drawn_masks(7))
    monkeypatch.undo()
    assert hooks == [len(model.head_outputs(layer)._forward_hooks) for layer in range(LAYERS)] == [0] * LAYERS
    assert torch.equal(before, model.encode_images(pixels))


@pytest.mark.parametrize("engine", [PlainEngine(), SharedPrefixEngine(4)])
def test_a_head_that_the_model_lacks_is_an_error(model, pixels, engine):
    with pytest.raises(CcsError, match=r"L6\.H0: small has layers 0-5"):
        engine.encode(model, pixels, [frozenset({Head(6, 0)})])


@torch.inference_mode()
def test_a_hook_point_that_never_fires_is_an_error(pixels, monkeypatch):
    model = small_model()
    monkeypatch.setattr(HeadAttention, "project", lambda self, z: z.transpose(1, 2).flatten(2))
    with pytest.raises(CcsError, match="ran past its hook point"):
        SharedPrefixEngine(4).encode(model, pixels, MASKS["paper"])


@torch.inference_mode()
def test_shared_work_is_done_once(model, pixels, monkeypatch):
    """Rows (copies of the batch) that go through each half of each block; masks that part in a layer share its first half."""
    rows = {"heads": [0] * LAYERS, "mlp": [0] * LAYERS}
    for layer, block in enumerate(model.blocks):
        monkeypatch.setattr(block.attn, "heads", counted(block.attn.heads, rows["heads"], layer, 0))
        monkeypatch.setattr(block.attn, "class_token_heads", counted(block.attn.class_token_heads, rows["heads"], layer, 0))
        monkeypatch.setattr(block.attn, "project", counted(block.attn.project, rows["mlp"], layer, None))
    masks = [frozenset(), frozenset({Head(3, 0)}), frozenset({Head(3, 0), Head(5, 1)}), frozenset({Head(4, 1)})]
    SharedPrefixEngine(64).encode(model, pixels, masks)
    batch = len(pixels)
    assert [count // batch for count in rows["heads"]] == [1, 1, 1, 1, 2, 3]
    assert [count // batch for count in rows["mlp"]] == [1, 1, 1, 2, 3, 4]


def counted(function, counts, layer, of_argument):
    def call(x, *rest):
        result = function(x, *rest)
        counts[layer] += len(x if of_argument == 0 else result)
        return result

    return call


@pytest.mark.parametrize(("room", "stack_size", "parts"), [(3, 2, 1), (1, 1, 1), (0, 1, 8)])
@torch.inference_mode()
def test_running_out_of_memory_halves_the_stack_then_the_batch(model, pixels, monkeypatch, room, stack_size, parts):
    real = shared_prefix._encode

    def small_memory(model, part, masks, stack):
        if stack > max(1, room) or (room == 0 and len(part) > 1):
            raise torch.OutOfMemoryError("no room")
        return real(model, part, masks, stack)

    monkeypatch.setattr(shared_prefix, "_encode", small_memory)
    engine = SharedPrefixEngine(4)
    masks = drawn_masks(8)
    embeddings = engine.encode(model, pixels, masks)
    assert (engine.stack_size, engine.parts) == (stack_size, parts) and len(engine.warnings) >= 1
    assert all("Out of memory" in warning for warning in engine.warnings)
    torch.testing.assert_close(embeddings, PlainEngine().encode(model, pixels, masks), atol=1e-6, rtol=0)


def test_no_room_for_a_single_image_is_an_error(model, pixels, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(shared_prefix, "_encode", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        SharedPrefixEngine(4).encode(model, pixels, [frozenset()])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precisions_stay_within_their_stated_error(model, pixels, dtype):
    """Embeddings have length 1; under autocast they move by less than 0.02, in either engine."""
    masks = drawn_masks(9)
    exact = PlainEngine().encode(model, pixels, masks)
    for engine in (PlainEngine(), SharedPrefixEngine(4)):
        with torch.autocast("cpu", dtype=dtype):
            embeddings = engine.encode(model, pixels, masks)
        distance = (embeddings.float() - exact).norm(dim=-1).max()
        assert 0 < distance < 0.02


@pytest.mark.parametrize("batch", [1, 3, 8])
@torch.inference_mode()
def test_the_bits_of_a_condition_do_not_depend_on_the_others(model, pixels, batch):
    """With a stack of one: a job that is extended gives the same numbers again."""
    masks = drawn_masks(10)
    whole = SharedPrefixEngine(1).encode(model, pixels[:batch], masks)
    for count in range(1, len(masks)):
        assert torch.equal(SharedPrefixEngine(1).encode(model, pixels[:batch], masks[:count]), whole[:count])


@pytest.mark.parametrize("said", ["could not create a primitive", "DefaultCPUAllocator: can't allocate memory: you tried"])
@torch.inference_mode()
def test_a_cpu_that_runs_out_of_memory_is_recognised_by_what_it_says(model, pixels, monkeypatch, said):
    real = shared_prefix._encode

    def small_memory(model, part, masks, stack):
        if len(part) > 4:
            raise RuntimeError(said)
        return real(model, part, masks, stack)

    monkeypatch.setattr(shared_prefix, "_encode", small_memory)
    engine = SharedPrefixEngine(1)
    engine.encode(model, pixels, [frozenset()])
    assert engine.parts == 2 and "Out of memory" in engine.warnings[0]


@torch.inference_mode()
def test_other_errors_are_not_taken_for_memory(model, pixels, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(shared_prefix, "_encode", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        SharedPrefixEngine(4).encode(model, pixels, [frozenset()])


def test_gradients_flow_under_a_mask_also_after_a_pass_without(pixels):
    model = small_model()
    with torch.inference_mode(), masked(model, [Head(4, 1)]):
        model.encode_images(pixels)
    seen = pixels.clone().requires_grad_()
    with masked(model, [Head(4, 1)]):
        model.encode_images(seen).sum().backward()
    assert seen.grad.abs().max() > 0
