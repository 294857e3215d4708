"""Packed linear maps give torch's numbers, and follow their weights."""

import copy
import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ccs_exp.clip import linear as module
from ccs_exp.clip.linear import PackedLinear, linear
from ccs_exp.clip.mlp import Mlp

CAN_PACK = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@pytest.fixture(autouse=True, params=[False, pytest.param(True, marks=pytest.mark.skipif(not CAN_PACK, reason="no packed kernels"))])
def packed(request, monkeypatch):
    """Whichever of the two this processor is the faster by."""
    monkeypatch.setattr(module, "PACKED", request.param)
    return request.param


def layers(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(48, 96).requires_grad_(False)


@pytest.mark.parametrize("shape", [(48,), (1, 48), (7, 48), (3, 5, 48), (0, 48)])
def test_it_is_torchs_linear(shape):
    layer, x = layers(), torch.randn(shape)
    torch.testing.assert_close(linear(x, layer.weight, layer.bias), layer(x), atol=1e-6, rtol=0)
    torch.testing.assert_close(linear(x, layer.weight, None), F.linear(x, layer.weight), atol=1e-6, rtol=0)


def test_a_changed_weight_is_packed_again():
    layer, x = PackedLinear.replacing(layers()), torch.randn(4, 48)
    before = layer(x)
    layer.weight.mul_(2)
    torch.testing.assert_close(layer(x) - layer.bias, 2 * (before - layer.bias), atol=1e-5, rtol=0)
    layer.weight.data = torch.zeros_like(layer.weight)
    torch.testing.assert_close(layer(x), layer.bias.expand(4, -1))
    with torch.inference_mode():
        layer.weight.fill_(1)
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.data.mul_(2),
        lambda weight: weight.data[:, 16:32].zero_(),  # a head's columns
        lambda weight: weight.data.copy_(torch.ones_like(weight)),
    ],
)
def test_changes_behind_torchs_back_are_seen(change):
    layer, x = PackedLinear.replacing(layers()), torch.randn(4, 48)
    layer(x)
    change(layer.weight)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0)


def test_a_weight_exchanged_twice_between_passes_is_packed_again():
    layer, x = PackedLinear.replacing(layers()), torch.randn(4, 48)
    for seed in range(20):
        layer(x)
        layer.weight.data = torch.randn(96, 48)
        layer.weight.data = torch.randn(96, 48, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0)


def test_there_and_back_to_another_precision():
    layer, x = PackedLinear.replacing(layers()), torch.randn(4, 48)
    for _ in range(5):
        layer(x)
        layer.bfloat16().float()
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0)


def test_weights_made_in_inference_mode_follow_their_changes():
    with torch.inference_mode():
        layer, x = PackedLinear(48, 96), torch.randn(4, 48)
        layer(x)
        layer.load_state_dict(layers().state_dict())
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0)


def test_copies_do_not_share_packed_weights():
    layer, x = PackedLinear.replacing(layers()), torch.randn(4, 48)
    layer(x)
    twin = copy.deepcopy(layer)
    twin.weight.zero_()
    assert torch.equal(twin(x), layer.bias.expand(4, -1)) and not torch.allclose(layer(x), twin(x))


def test_only_single_precision_is_packed(packed):
    x, weight = torch.zeros(1, 2), torch.zeros(3, 2)
    assert module.packs(x, weight) == packed and not module.packs(x.double(), weight.double())


def test_packed_weights_go_with_their_weights(packed):
    gc.collect()
    before = len(module._packed_weights)
    layer = PackedLinear.replacing(layers())
    layer(torch.randn(4, 48))
    assert len(module._packed_weights) == before + packed
    del layer
    gc.collect()
    assert len(module._packed_weights) == before


def test_gradients_flow_to_the_input_and_to_trained_weights():
    layer = PackedLinear.replacing(layers())
    x = torch.randn(4, 48, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(dim=0).expand(4, -1))
    layer.requires_grad_(True)
    layer(x.detach()).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_torchs_own(dtype):
    layer, x = layers().to(dtype), torch.randn(4, 48, dtype=dtype)
    assert torch.equal(linear(x, layer.weight, layer.bias), layer(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = layers()
        assert linear(x.float(), single.weight, single.bias).dtype == torch.bfloat16


@pytest.mark.parametrize("gelu", [nn.GELU(), nn.GELU(approximate="tanh"), nn.ReLU()])
@pytest.mark.parametrize("rows", [1, 1024, 2500])
def test_the_mlp_in_pieces_is_the_mlp(gelu, rows):
    torch.manual_seed(1)
    from collections import OrderedDict

    plain = nn.Sequential(OrderedDict(c_fc=nn.Linear(16, 64), gelu=gelu, c_proj=nn.Linear(64, 16))).requires_grad_(False)
    x = torch.randn(rows, 1, 16)
    expected = plain(x)
    mlp = Mlp.replacing(plain)
    torch.testing.assert_close(mlp(x), expected, atol=1e-6, rtol=0)
    assert list(mlp.state_dict()) == list(plain.state_dict())
    seen = []
    mlp.c_fc.register_forward_hook(lambda *_: seen.append(1))
    torch.testing.assert_close(mlp(x), expected, atol=1e-6, rtol=0)
    assert seen, "hooks on its layers fire"
