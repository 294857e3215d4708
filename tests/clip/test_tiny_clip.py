"""The bundled model: it loads like any other, reads any text, and sees what it was trained to see."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ccs_exp import notebook
from ccs_exp.clip.loading import open_clip

ASSETS = Path(notebook.__file__).parent / "assets" / "tiny_clip"


@pytest.fixture(scope="module")
def tiny():
    return notebook.load_model("tiny")


def test_the_files_are_small_and_readable_by_all():
    weights = ASSETS / "tiny_clip.safetensors"
    assert weights.stat().st_size <= 8_000_000
    assert (ASSETS / "merges.txt.gz").stat().st_size <= 20_000
    assert all(file.stat().st_mode & 0o004 for file in ASSETS.iterdir())


def test_the_weights_are_those_of_the_configuration_and_finite():
    config = json.loads((ASSETS / "tiny_clip.json").read_text())
    config["text_cfg"].pop("tokenizer_kwargs")
    state = load_file(ASSETS / "tiny_clip.safetensors")
    open_clip.CLIP(**config).load_state_dict(state)
    assert all(torch.isfinite(values).all() for values in state.values())


def test_the_last_four_layers_have_enough_heads(tiny):
    assert len(tiny.scored_heads) >= 32 and tiny.blocks[0].attn.head_dim >= 5


@pytest.mark.parametrize(
    "text", ["", " ", "a photo of a circle", "zebra crossing", "größer", "数字", "🙂", "x" * 500, "one " * 200]
)
def test_any_text_becomes_tokens_of_the_table(tiny, text):
    config = json.loads((ASSETS / "tiny_clip.json").read_text())["text_cfg"]
    tokens = tiny.tokenizer([text])
    assert tokens.shape == (1, config["context_length"])
    assert tokens.min() >= 0 and tokens.max() == tiny.tokenizer.eot_token_id == config["vocab_size"] - 1
    assert torch.isfinite(tiny.encode_texts([text])).all()


def test_case_does_not_matter(tiny):
    small, capital = tiny.encode_texts(["the colour red", "The Colour RED"])
    torch.testing.assert_close(small, capital)


FLOORS = {
    "scenes_colour": 0.95, "scenes_background": 0.95, "scenes_place": 0.95, "scenes_size": 0.85, "scenes_count": 0.85,
    "scenes_shape": 0.85, "scenes_texture": 0.75, "digits": 0.85,
}  # fmt: skip


SHORT = [(name, FLOORS[name], ("dataset.limit=250",)) for name in ("scenes_colour", "digits")]
WHOLE = [pytest.param(*item, (), marks=pytest.mark.full) for item in FLOORS.items()]


@pytest.mark.parametrize(("dataset", "floor", "settings"), [*SHORT, *WHOLE])
def test_it_sees_what_it_was_trained_to_see(tiny, dataset, floor, settings):
    assert notebook.evaluate(tiny, dataset, None, *settings)["original"]["top1"] >= floor


@pytest.mark.parametrize(("settings", "high"), [(("probe.num_images=400",), 1), pytest.param((), 3, marks=pytest.mark.full)])
def test_some_heads_are_of_one_concept_and_some_are_not(tiny, settings, high):
    scores = notebook.score_heads(tiny, *settings)
    assert len(scores.of_class("high")) >= high and scores.unjudged == 0
    assert len({score.ccs for score in scores.heads}) > 1
