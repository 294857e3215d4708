"""Kept results: found again under the same key, never trusted when damaged, never in the way."""

import logging

import pytest
import torch
from open_clip.transformer import QuickGELU
from small_models import small_model

from ccs_exp.clip import text as text_encoder
from ccs_exp.store import kept_tensor


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


def counting(value):
    calls = []

    def compute():
        calls.append(1)
        return value

    return compute, calls


@pytest.mark.parametrize("value", [torch.randn(3, 4), torch.zeros(0, 5), torch.tensor(2.0), torch.randn(2, 3).half()])
def test_a_result_is_computed_once_and_found_as_it_was(value):
    compute, calls = counting(value)
    assert torch.equal(kept_tensor("kind", {"a": 1}, compute, tuple(value.shape)), value)
    again = kept_tensor("kind", {"a": 1}, compute, tuple(value.shape))
    assert torch.equal(again, value) and again.dtype == value.dtype and len(calls) == 1
    kept_tensor("kind", {"a": 2}, compute, tuple(value.shape))
    kept_tensor("other", {"a": 1}, compute, tuple(value.shape))
    assert len(calls) == 3


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "renamed", "junk"])
def test_a_damaged_result_is_computed_again_with_a_warning(store, damage, caplog):
    value = torch.arange(12.0)
    kept_tensor("kind", {"a": 1}, lambda: value, (12,))
    (path,) = store.rglob("*.entry")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-7])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "flipped":
        content[200] ^= 1
        path.write_bytes(content)
    elif damage == "renamed":
        kept_tensor("kind", {"a": 2}, lambda: torch.zeros(12), (12,))
        (other,) = set(store.rglob("*.entry")) - {path}
        other.replace(path)
    else:
        path.write_bytes(b"\xff" * 100)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(kept_tensor("kind", {"a": 1}, lambda: value, (12,)), value)
    assert "damaged" in caplog.text and list(store.rglob("*.entry.damaged"))
    caplog.clear()
    assert torch.equal(kept_tensor("kind", {"a": 1}, lambda: 1 / 0, (12,)), value) and not caplog.text


def test_a_store_that_cannot_be_written_costs_only_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert kept_tensor("kind", {"a": 1}, lambda: torch.tensor(5.0), ()) == 5
    assert "not kept" in caplog.text


@pytest.mark.parametrize("change", ["activation", "heads", "mask", "pooling", "eps"])
def test_the_same_numbers_put_together_otherwise_are_another_text_tower(change):
    model = small_model(0)
    before = text_encoder._text_tower(model.clip)
    block = model.clip.transformer.resblocks[0]
    if change == "activation":
        block.mlp.gelu = QuickGELU()
    elif change == "heads":
        block.attn.num_heads = 1
    elif change == "mask":
        model.clip.attn_mask = torch.zeros_like(model.clip.attn_mask)
    elif change == "pooling":
        model.clip.text_pool_type = "first"
    else:
        model.clip.ln_final.eps = 0.1
    assert text_encoder._text_tower(model.clip) != before == text_encoder._text_tower(small_model(0).clip)


def test_texts_are_encoded_once_for_the_same_weights(monkeypatch):
    calls, encode = [], text_encoder.encode_texts
    monkeypatch.setattr(text_encoder, "encode_texts", lambda *arguments, **shown: calls.append(1) or encode(*arguments, **shown))
    texts = ["a red star", "three of them"]
    first = small_model(0).encode_texts(texts)
    assert torch.equal(small_model(0).encode_texts(texts), first) and len(calls) == 1
    assert not torch.equal(small_model(1).encode_texts(texts), first) and len(calls) == 2
    changed = small_model(0)
    changed.clip.ln_final.weight.data.mul_(2)
    changed.encode_texts(texts)
    small_model(0).encode_texts(texts[::-1])
    assert len(calls) == 4
