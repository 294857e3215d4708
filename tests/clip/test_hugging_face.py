"""Models that need `transformers`, or the hub's files, say so in a paragraph."""

import sys
import types

import pytest

from ccs_exp.clip import loading
from ccs_exp.errors import CcsError, NotHere
from ccs_exp.sweeps import prefetch


@pytest.mark.parametrize("load", [loading.load_clip, loading.unloaded])
def test_without_transformers_the_error_names_the_install_line(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CcsError, match=r'roberta-ViT-B-32 has the text tower roberta-base .*pip install "ccs_exp\[hf\]"') as caught:
        load("roberta-ViT-B-32")
    assert "\n" not in str(caught.value)


def test_without_transformers_a_tokenizer_of_theirs_is_an_error_and_others_are_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CcsError, match=r'ViT-L-14-CLIPA has the tokenizer bert-base-uncased .*pip install "ccs_exp\[hf\]"'):
        loading._tokenizer("ViT-L-14-CLIPA", None)
    assert loading._tokenizer("ViT-B-32", None)(["a"]).shape == (1, 77)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (OSError("no way\nto the hub. See 'https://x'"), NotHere, r"cannot be fetched \(no way to the hub\). Connect to the network"),
        (ValueError("unrecognized model"), CcsError, r"does not load \(ValueError: unrecognized model\). Install what it asks for"),
        (ImportError("sentencepiece"), CcsError, r"does not load \(ImportError: sentencepiece\). Install what it asks for"),
    ],
)
def test_what_transformers_cannot_load_is_an_error(error, kind, reason, monkeypatch):
    def fails(*_args, **_options):
        raise error

    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.setattr("open_clip.create_model", fails)
    with pytest.raises(CcsError, match=f"has the text tower roberta-base .*{reason}") as caught:
        loading.load_clip("roberta-ViT-B-32")
    assert "\n" not in str(caught.value) and type(caught.value) is kind


@pytest.mark.parametrize("weights", ["model.pretrained=null", "model.weights=mine.safetensors model.pretrained=null"])
def test_prefetch_knows_a_tokenizer_whose_model_brings_its_weights_from_elsewhere(weights):
    job = ["model=open_clip", *weights.split(), "dataset=digits", "probe=scenes"]
    wanted = [[need.what for need in prefetch.needs_of_sweep([*job, f"model.name={name}"])] for name in ("ViT-B-16-SigLIP", "ViT-B-32")]
    assert wanted == [["tokenizer of ViT-B-16-SigLIP"], []]
