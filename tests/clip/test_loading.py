"""The six variants, local checkpoints, and what is refused."""

import argparse
import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_models import SMALL_TEXT, SMALL_VISION
from torch.nn import init

from ccs_exp.clip import loading
from ccs_exp.clip.model import ClipModel, WeightsOrigin
from ccs_exp.clip.weights import undrawn
from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError

SIX = {
    "vitb32_openai": (12, 12, 512, "QuickGELU"),
    "vitb32_datacomp": (12, 12, 512, "GELU"),
    "vitb16_openai": (12, 12, 512, "QuickGELU"),
    "vitb16_laion": (12, 12, 512, "GELU"),
    "vitl14_openai": (24, 16, 768, "QuickGELU"),
    "vitl14_laion": (24, 16, 768, "GELU"),
}


@pytest.fixture
def small_architecture(monkeypatch):
    """An architecture of open_clip's registry that is small enough to load many times."""
    config = {"embed_dim": 48, "vision_cfg": SMALL_VISION, "text_cfg": SMALL_TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small-test-clip", config)
    return "small-test-clip"


@pytest.mark.parametrize("variant", SIX)
def test_the_six_variants_have_the_right_shape_and_activation(variant):
    cfg = configure(f"model={variant}").model
    tag = loading._pretrained_tag(cfg.name, cfg.pretrained)
    clip = loading._build(cfg.name, 0, "meta")
    loading._check_activation(clip, cfg.name, cfg.pretrained, tag)
    model = ClipModel(clip, None, None, variant, WeightsOrigin("none", None))
    layers, heads, dim, activation = SIX[variant]
    assert (model.layers, model.heads_per_layer, model.embedding_dim) == (layers, heads, dim)
    assert type(model.blocks[0].mlp.gelu).__name__ == activation
    assert len(model.scored_heads) == 4 * heads
    assert model.blocks[0].attn.head_dim == 64


@pytest.mark.parametrize("variant", SIX)
def test_preprocessing_is_the_checkpoints_also_for_a_local_file(variant):
    cfg = configure(f"model={variant}").model
    tag = loading._pretrained_tag(cfg.name, cfg.pretrained)
    settings = loading.preprocess_settings(loading._build(cfg.name, 0, "meta"), tag, None)
    half = (0.5, 0.5, 0.5)
    if variant == "vitl14_laion":
        assert (settings.mean, settings.std) == (half, half)
    else:
        assert settings.mean == pytest.approx((0.4815, 0.4578, 0.4082), abs=1e-4)
        assert settings.std == pytest.approx((0.2686, 0.2613, 0.2758), abs=1e-4)
    assert settings.interpolation == "bicubic" and settings.resize_mode == "shortest"


def test_gelu_under_quickgelu_weights_is_refused():
    with pytest.raises(CcsError, match=r"trained with QuickGELU, but ViT-B-32 has GELU. Use model.name=ViT-B-32-quickgelu"):
        loading.load_clip("ViT-B-32", "openai", weights="anything.pt")


def test_no_network_and_no_cache_names_checkpoint_file_and_override(tmp_path, monkeypatch):
    def unreachable(*_args, **_kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(open_clip.pretrained, "hf_hub_download", unreachable)
    with pytest.raises(CcsError) as caught:
        loading.load_clip("ViT-B-32-quickgelu", "openai")
    message = str(caught.value)
    for part in (
        "'openai' of ViT-B-32-quickgelu",
        "timm/vit_base_patch32_clip_224.openai",
        "open_clip_model.safetensors",
        "model.weights=FILE",
    ):
        assert part in message
    assert "\n" not in message


def test_weights_load_from_safetensors_and_from_torch_files(small_architecture, tmp_path):
    source = loading.load_clip(small_architecture, seed=7)
    state = {key: value.contiguous() for key, value in source.clip.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pt")
    for file in ("w.safetensors", "w.pt"):
        model = loading.load_clip(small_architecture, weights=tmp_path / file)
        assert all(torch.equal(value, model.clip.state_dict()[key]) for key, value in state.items())
        assert len(model.origin.sha256) == 64 and not model.origin.random


def test_random_weights_follow_the_seed_and_say_so(small_architecture):
    first, again, other = (loading.load_clip(small_architecture, seed=seed) for seed in (1, 1, 2))
    weight = "visual.conv1.weight"
    assert torch.equal(first.clip.state_dict()[weight], again.clip.state_dict()[weight])
    assert not torch.equal(first.clip.state_dict()[weight], other.clip.state_dict()[weight])
    assert first.origin.random and "seed 1" in first.origin.description


class Archive(torch.nn.Module):
    """A TorchScript module with a model's parameters and OpenAI's three settings."""

    def __init__(self, clip):
        super().__init__()
        self.visual, self.transformer, self.token_embedding, self.ln_final = (
            clip.visual, clip.transformer, clip.token_embedding, clip.ln_final,
        )  # fmt: skip
        self.positional_embedding, self.text_projection, self.logit_scale = (
            clip.positional_embedding, clip.text_projection, clip.logit_scale,
        )  # fmt: skip
        for name, value in {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}.items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual.conv1(x)


@pytest.fixture
def archive(small_architecture, tmp_path):
    source = open_clip.create_model(small_architecture)
    torch.jit.trace(Archive(source), torch.zeros(1, 3, 32, 32)).save(tmp_path / "openai.pt")
    return source, tmp_path / "openai.pt"


def test_openai_archives_load_for_openai_variants(archive, small_architecture, monkeypatch):
    source, path = archive
    monkeypatch.setattr(loading, "get_pretrained_cfg", lambda _name, _tag: {"quick_gelu": False, "url": "openai"})
    model = loading.load_clip(small_architecture, "openai", weights=path)
    assert torch.equal(model.clip.visual.proj, source.visual.proj)


def test_torchscript_archives_of_others_are_refused(archive, small_architecture):
    with pytest.raises(CcsError, match="TorchScript archive. Those are read for OpenAI's own checkpoints only"):
        loading.load_clip(small_architecture, weights=archive[1])


class Harmful:
    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


@pytest.mark.parametrize("kind", ["wrong_architecture", "garbage", "empty", "pickle", "truncated", "list"])
def test_unusable_weights_are_a_paragraph(kind, small_architecture, tmp_path, capfd):
    path = tmp_path / f"{kind}.pt"
    if kind == "wrong_architecture":
        other = open_clip.CLIP(embed_dim=48, vision_cfg=SMALL_VISION | {"layers": 2}, text_cfg=SMALL_TEXT)
        torch.save(other.state_dict(), path)
    elif kind == "garbage":
        path = tmp_path / "garbage.safetensors"
        path.write_bytes(b"\xff" * 4000)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "pickle":
        torch.save({"visual.proj": Harmful()}, path)
    elif kind == "list":
        torch.save([1, 2, 3], path)
    else:
        torch.save(loading.load_clip(small_architecture).clip.state_dict(), path)
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CcsError, match=f"{path.name} does not load as weights of small-test-clip"):
        loading.load_clip(small_architecture, weights=path)
    assert "code from a checkpoint ran" not in capfd.readouterr().out


FIRST_BIAS = "visual.ln_pre.bias"
WRONG = {
    "lacking": (
        lambda state: {name: value for name, value in state.items() if not name.startswith("visual.ln_p")},
        r"it lacks visual\.ln_pre\.weight, visual\.ln_pre\.bias, visual\.ln_post\.weight and 1 more\. Check that the file is whole",
    ),
    "shape": (
        lambda state: state | {FIRST_BIAS: torch.zeros(7, 2)},
        r"it has other shapes: visual\.ln_pre\.bias is 7 x 2 instead of 64\. Check",
    ),
    "more": (
        lambda state: {name: value for name, value in state.items() if name != FIRST_BIAS} | {"ema": torch.zeros(1)},
        r"it lacks visual\.ln_pre\.bias, and it has ema, which the model has not\. Check",
    ),
    "prefix": (
        lambda state: {f"net.clip.{name}": value for name, value in state.items()},
        r"it has net\.clip\..* which the model has not\. Save it with names that do not begin with 'net\.clip\.'\.$",
    ),
    "transformers": (
        lambda state: {f"vision_model.{name}": value for name, value in state.items()},
        r"Its names are those of transformers: model=hf model\.name=FOLDER",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_weights_that_do_not_fit_say_where_and_what_to_do(kind, small_architecture, tmp_path):
    change, message = WRONG[kind]
    save_file(change(loading.load_clip(small_architecture).clip.state_dict()), tmp_path / "own.safetensors")
    with pytest.raises(CcsError, match=message) as caught:
        loading.load_clip(small_architecture, weights=tmp_path / "own.safetensors")
    assert "state_dict" not in str(caught.value) and "torch.Size" not in str(caught.value)


@pytest.mark.parametrize("held", ["print", "argparse.Namespace", None])
def test_pickles_are_never_advised_to_be_run(held, small_architecture, tmp_path):
    path = tmp_path / "own.pt"
    if held is None:
        path.write_text("these are no weights")
    else:
        torch.save({"state_dict": {}, "args": Harmful() if held == "print" else argparse.Namespace(lr=1)}, path)
    said = r"it is no file of PyTorch's that holds weights" if held is None else rf"pickled and holds {held} beside numbers; .*save_file\("
    with pytest.raises(CcsError, match=said) as caught:
        loading.load_clip(small_architecture, weights=path)
    assert "weights_only" not in str(caught.value) and "safe_globals" not in str(caught.value)


def test_missing_weights_unknown_model_and_unknown_tag_are_errors(small_architecture, tmp_path):
    with pytest.raises(CcsError, match="there is no such file"):
        loading.load_clip(small_architecture, weights=tmp_path / "none.pt")
    with pytest.raises(CcsError, match=r"no model 'ViT-B-33'. Similar names: .*ViT-B-32"):
        loading.load_clip("ViT-B-33")
    with pytest.raises(CcsError, match=r"no checkpoint 'laion9b' of ViT-B-32. Known for it: .*laion2b_s34b_b79k"):
        loading.load_clip("ViT-B-32", "laion9b")


def test_an_encoder_that_cannot_be_decomposed_is_refused_before_its_weights_are_looked_for():
    with pytest.raises(CcsError, match="The heads of RN50 cannot be read"):
        loading.load_clip("RN50", weights="nowhere.pt")


def test_text_embeddings_equal_open_clips_at_full_length(model):
    texts = ["a", "a photo of a dog on a meadow", "x " * 200, "", "naïve café 日本"]
    plain = torch.nn.functional.normalize(model.clip.encode_text(model.tokenizer(texts)), dim=-1)
    torch.testing.assert_close(model.encode_texts(texts), plain, atol=3e-6, rtol=0)


def test_an_architecture_of_the_package_brings_its_tokenizer(tmp_path, monkeypatch):
    """The way the tiny model is loaded: a configuration file, with the merges of its tokenizer beside it."""
    import gzip

    with gzip.open(tmp_path / "merges.txt.gz", "wt") as file:
        file.write("#version\nr e\nre d</w>")
    text = SMALL_TEXT | {"vocab_size": 516, "context_length": 16, "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}
    (tmp_path / "own_clip.json").write_text(json.dumps({"embed_dim": 48, "vision_cfg": SMALL_VISION, "text_cfg": text}))
    monkeypatch.setattr(loading, "ASSETS", tmp_path)
    model = loading.load_clip("own_clip", architecture="own_clip.json")
    tokens = model.tokenizer(["red"])
    assert tokens.shape == (1, 16) and tokens[0, :3].tolist() == [514, 513, 515]
    assert model.encode_texts(["red", "blue 7 ü"]).shape == (2, 48)


@pytest.mark.parametrize("draw", [init.normal_, init.uniform_, init.trunc_normal_, init.xavier_normal_, init.kaiming_uniform_])
def test_weights_that_a_file_replaces_are_not_drawn(draw):
    weights, before = torch.full((4, 3), 7.0), torch.get_rng_state()
    with undrawn():
        draw(weights)
    assert len(weights.unique()) == 1 and torch.equal(torch.get_rng_state(), before)
    assert len(draw(weights).unique()) == 12


def test_a_model_of_a_file_is_the_one_it_was_saved_from(small_architecture, tmp_path):
    drawn = loading.load_clip(small_architecture, seed=1)
    save_file(drawn.clip.state_dict(), tmp_path / "weights.safetensors")
    loaded = loading.load_clip(small_architecture, weights=tmp_path / "weights.safetensors")
    for kind in ("named_parameters", "named_buffers"):
        expected = dict(getattr(drawn.clip, kind)())
        found = dict(getattr(loaded.clip, kind)())
        assert found.keys() == expected.keys() and all(torch.equal(value, expected[name]) for name, value in found.items())
