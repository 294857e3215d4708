"""Models that need `transformers`, or the hub's files, say so in a paragraph."""

import sys
import types

import pytest

from ccs_exp.clip import loading
from ccs_exp.errors import CcsError


@pytest.mark.parametrize("load", [loading.load_clip, loading.unloaded])
def test_without_transformers_the_error_names_the_install_line(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CcsError, match="roberta-ViT-B-32 has the text tower roberta-base .*pip install transformers") as caught:
        load("roberta-ViT-B-32")
    assert "\n" not in str(caught.value)


def test_without_transformers_a_tokenizer_of_theirs_is_an_error_and_others_are_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CcsError, match="ViT-L-14-CLIPA has the tokenizer bert-base-uncased .*pip install transformers"):
        loading._tokenizer("ViT-L-14-CLIPA", None)
    assert loading._tokenizer("ViT-B-32", None)(["a"]).shape == (1, 77)


@pytest.mark.parametrize("error", [OSError("no way\nto the hub"), ValueError("unrecognized model"), ImportError("sentencepiece")])
def test_what_transformers_cannot_load_is_an_error(error, monkeypatch):
    def fails(*_args, **_options):
        raise error

    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.setattr("open_clip.create_model", fails)
    with pytest.raises(CcsError, match=r"has the text tower roberta-base .*does not load .*Connect to the network once") as caught:
        loading.load_clip("roberta-ViT-B-32")
    assert "\n" not in str(caught.value)
