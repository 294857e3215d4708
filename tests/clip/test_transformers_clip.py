"""Checkpoints of Hugging Face's `transformers`: the same numbers as its own CLIPModel gives, and what is refused."""

import json
import sys

import ccs_exp  # noqa: F401  # isort: skip  # first: it declares torchvision's operators, and transformers imports torchvision
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ccs_exp.clip.architecture import encoder_shape
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.repository import at_hand, repository_named, repository_sha256
from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.weights import known_weights

transformers = pytest.importorskip("transformers", reason="pip install transformers: it is what is compared with")

TEXTS = ["a", "a photo of a dog on a meadow", "two naïve cafés, 3 o'clock!", "word " * 100]
PREPROCESSOR = {
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.3, 0.25],
    "resample": 3,
}
SHAPES = {
    "plain": ({"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256}, {}),
    "other sizes": (
        {"hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 200, "num_hidden_layers": 5, "patch_size": 16},
        {"num_attention_heads": 4, "intermediate_size": 72, "max_position_embeddings": 20, "eos_token_id": 2},
    ),
    "gelu": (
        {"hidden_size": 32, "num_attention_heads": 1, "hidden_act": "gelu", "layer_norm_eps": 1e-3, "intermediate_size": 64},
        {"hidden_act": "gelu_new", "layer_norm_eps": 1e-2, "vocab_size": 49500},
    ),
}


def save_tokenizer(folder):
    """vocab.json and merges.txt of CLIP, as OpenAI published them for transformers."""
    tokenizer = open_clip.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in tokenizer.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = "\n".join(" ".join(pair) for pair in tokenizer.bpe_ranks)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")


def save_checkpoint(folder, vision, text, shards=None):
    """A random CLIPModel in its own layout, with biases and norms drawn too; gives the model."""
    config = transformers.CLIPConfig(
        vision_config={"num_hidden_layers": 6, "image_size": 32, "patch_size": 8, **vision},
        text_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, **text},
        projection_dim=48,
        attn_implementation="sdpa",
    )
    torch.manual_seed(1)
    model = transformers.CLIPModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.2)
    model.save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    save_tokenizer(folder)
    return model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    return folder, save_checkpoint(folder, *SHAPES["plain"])


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy whose files a test may change."""
    for file in checkpoint[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_embeddings_scale_and_tokens_equal_transformers_own(shape, tmp_path):
    theirs = save_checkpoint(tmp_path, *SHAPES[shape], shards="1MB" if shape == "other sizes" else None)
    model = load_clip(str(tmp_path), repository=True)
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours = model.clip.encode_image(pixels)
    torch.testing.assert_close(ours, theirs.get_image_features(pixels).pooler_output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.encode_images(pixels), torch.nn.functional.normalize(ours, dim=-1), atol=1e-5, rtol=0)
    tokens = transformers.CLIPTokenizer.from_pretrained(tmp_path)(
        TEXTS, padding="max_length", truncation=True, max_length=model.clip.context_length, return_tensors="pt"
    )["input_ids"]
    cut = model.tokenizer(TEXTS)
    for found, expected in zip(cut, tokens, strict=True):
        end = int(expected.argmax()) + 1  # what follows a text's end is padding, of which the two libraries think differently
        assert torch.equal(found[:end], expected[:end])
    expected = theirs.get_text_features(tokens).pooler_output
    torch.testing.assert_close(model.clip.encode_text(cut), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.encode_texts(TEXTS), torch.nn.functional.normalize(expected, dim=-1), atol=1e-5, rtol=0)
    assert model.logit_scale == pytest.approx(float(theirs.logit_scale.exp())) and model.logit_bias is None


@pytest.mark.parametrize(
    "changed",
    [{}, {"size": {"shortest_edge": 40}}, {"size": 32, "crop_size": 32, "resample": 2}, {"size": {"height": 32, "width": 32}}],
    ids=str,
)
def test_preprocessing_is_the_checkpoints_own(changed, copied):
    (copied / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | changed))
    model = load_clip(str(copied), repository=True)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8))
    theirs = transformers.CLIPImageProcessorPil.from_pretrained(copied)(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(model.preprocess(image), theirs, atol=1e-5, rtol=0)


def test_shape_variant_and_digest_are_known_and_follow_the_files(copied):
    cfg = configure("model=hf", f"model.name={copied}")
    assert encoder_shape(str(copied), None, True) == (6, 4, 3 * 32 * 32, 17, 64, True, 16, 48)
    before = known_weights(cfg)
    model = load_clip(str(copied), repository=True)
    assert model.origin.sha256 == before == repository_sha256(copied, "x") and model.name == str(copied)
    assert not model.origin.random
    (copied / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | {"image_std": [0.5, 0.5, 0.5]}))
    assert known_weights(cfg) != before
    (copied / "model.safetensors").unlink()
    assert known_weights(cfg) is None
    assert known_weights(configure("model=hf", "model.name=nobody/nothing")) is None and at_hand("nobody/nothing") is None


def test_names_with_open_clips_prefixes_are_repositories(tmp_path, checkpoint):
    assert repository_named("hf-hub:timm/x") == repository_named("timm/x", True) == "timm/x"
    assert repository_named("local-dir:x/y") == "x/y" and repository_named("ViT-B-32") is None
    assert load_clip(f"local-dir:{checkpoint[0]}").layers == 6
    vision, text = ({"layers": 4, "width": 64, "head_width": 16, "patch_size": 8, "image_size": 32}, {"width": 32, "heads": 2, "layers": 1})
    theirs = open_clip.CLIP(embed_dim=48, vision_cfg=vision, text_cfg=text)
    config = {"model_cfg": {"embed_dim": 48, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, tmp_path / "open_clip_model.safetensors")
    model = load_clip(f"local-dir:{tmp_path}")
    assert torch.equal(model.clip.visual.proj, theirs.visual.proj) and model.name == str(tmp_path)
    assert model.transform.transforms[-1].mean == [0.1, 0.2, 0.3] and model.tokenizer(["a"]).shape == (1, 77)
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "org/words"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(CcsError, match="has no tokenizer; expected beside the weights is tokenizer.json"):
        load_clip(f"local-dir:{tmp_path}")


def test_another_vocabulary_is_read_by_transformers_and_asks_for_it(copied, monkeypatch):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "a", "dog", "[UNK]", "[END]"]
    own = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single="$A [END]", special_tokens=[("[END]", 4)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]", eos_token="[END]")
    (copied / "vocab.json").unlink()
    fast.save_pretrained(copied)
    tokens = load_clip(str(copied), repository=True).tokenizer(["a dog", "a cat a"])
    assert tokens.shape == (2, 77) and tokens[:, :5].tolist() == [[1, 2, 4, 0, 0], [1, 3, 1, 4, 0]]
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CcsError, match=r'tokenizer other than CLIP.s, which needs Hugging Face.*pip install "ccs_exp\[hf\]"'):
        load_clip(str(copied), repository=True)
    save_tokenizer(copied)
    (copied / "tokenizer.json").unlink()
    (copied / "tokenizer_config.json").unlink()
    assert load_clip(str(copied), repository=True).tokenizer(["a"]).shape == (1, 77), "CLIP's own needs no transformers"


def _weights(change):
    def changed(folder):
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return changed


def _config(file="config.json", **changes):
    def changed(folder):
        found = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(found | changes))

    return changed


def _pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _without(name):
    return lambda folder: (folder / name).unlink()


BAD = {
    "lacks": (_weights(lambda state: state.pop("visual_projection.weight")), "not that of a CLIPModel: it lacks visual_projection.weight"),
    "beside": (_weights(lambda state: state.update(adapter=torch.ones(1))), "it has adapter, which CLIP does not"),
    "shape": (
        _weights(lambda state: state.update({"text_model.final_layer_norm.bias": torch.ones(5)})),
        r"text_model.final_layer_norm.bias \(5,\) instead of \(32,\)",
    ),
    "pickled": (_pickled, "only pytorch_model.bin, which is pickled and can hold code; expected is model.safetensors"),
    "no weights": (_without("model.safetensors"), "has no weights; expected is model.safetensors"),
    "garbage": (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 99), "do not load: .*Fetch"),
    "remote code": (_config(auto_map={"AutoModel": "evil.Model"}), "asks for code of its own .in its config.json., which is never run"),
    "remote tokenizer": (
        lambda folder: (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}'),
        "asks for code of its own .in its tokenizer_config.json.",
    ),
    "another type": (_config(model_type="siglip"), "transformers model of type 'siglip'; of its models those of type 'clip'"),
    "activation": (_config(vision_config={"hidden_act": "swish"}), "has the activations quick_gelu, swish; known are quick_gelu, gelu"),
    "sizes": (_config(projection_dim="48"), "configuration of .* does not give a model .TypeError"),
    "no config": (_without("config.json"), "has neither open_clip_config.json .* nor config.json"),
    "not JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json of .* cannot be read"),
    "no preprocessing": (_without("preprocessor_config.json"), "has no preprocessor_config.json, so its preprocessing is not known"),
    "no vocabulary": (_without("vocab.json"), "has no tokenizer; expected .* is tokenizer.json, or vocab.json and merges.txt"),
    "crop": (_config("preprocessor_config.json", crop_size=40), "asks for .*, crop_size=40, which cannot be followed: .*the 32 pixels"),
    "rescale": (_config("preprocessor_config.json", do_rescale=False, resample=0), "asks for do_rescale=false, resample=0, which"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_loaded_is_a_paragraph_that_names_it(kind, copied, capfd):
    spoil, message = BAD[kind]
    spoil(copied)
    with pytest.raises(CcsError, match=message) as caught:
        load_clip(str(copied), repository=True)
    assert "\n" not in str(caught.value)


def test_what_contradicts_a_repository_or_is_none_is_an_error():
    with pytest.raises(CcsError, match="brings its own weights and configuration: leave out model.pretrained"):
        load_clip("hf-hub:timm/x", "openai")
    with pytest.raises(CcsError, match=r"org/none cannot be loaded from the hub .HF_HUB_OFFLINE is set, .* It is no folder here either"):
        load_clip("org/none", repository=True)
    assert encoder_shape("org/none", None, True) is None
