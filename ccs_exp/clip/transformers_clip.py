"""CLIP checkpoints of Hugging Face's `transformers` as open_clip's own modules: configuration, weights and tokenizer, read as data.

The two libraries' modules compute the same; what differs is names. `transformers` itself is needed for tokenizers other than CLIP's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ccs_exp.clip.open_clip_types import OpenClip
from ccs_exp.clip.repository import TRANSFORMERS, check_vocabulary, read_json
from ccs_exp.errors import CcsError
from ccs_exp.files import some

# what transformers' configurations leave out where it is this
_BOTH = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_TEXT = _BOTH | {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "vocab_size": 49408}
_TEXT |= {"max_position_embeddings": 77, "eos_token_id": 49407}
_VISION = _BOTH | {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "image_size": 224, "patch_size": 32}
_ACTIVATIONS = {"quick_gelu": None, "gelu": {}, "gelu_new": {"approximate": "tanh"}, "gelu_pytorch_tanh": {"approximate": "tanh"}}
_LEGACY_END = 2  # an end token that transformers reads as "the highest number of the text"

_OUTER = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}  # open_clip's are transposed
_TEXT_NAMES = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_VISION_NAMES = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",  # so spelled
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
_BLOCK_NAMES = {
    "ln_1": ("layer_norm1",),
    "ln_2": ("layer_norm2",),
    "attn.in_proj_": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn.out_proj": ("self_attn.out_proj",),
    "mlp.c_fc": ("mlp.fc1",),
    "mlp.c_proj": ("mlp.fc2",),
}
_BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")  # of older files; they only count

_CLIP_VOCABULARY = 49408


def built(config: Mapping[str, Any], named: str) -> OpenClip:
    """open_clip's model of that configuration, with random weights. Raises `CcsError` for one that is not CLIP's."""
    if config.get("model_type") != "clip" or "vision_config" not in config:
        raise CcsError(
            f"{named} is a transformers model of type {config.get('model_type')!r}; of its models those of type 'clip' with both encoders "
            "can be loaded. SigLIP and others are published in open_clip's format too: model=open_clip model.name=ViT-B-16-SigLIP, say."
        )
    text, vision = _TEXT | (config.get("text_config") or {}), _VISION | (config.get("vision_config") or {})
    activations = {text["hidden_act"], vision["hidden_act"]}
    if not activations <= set(_ACTIVATIONS) or ("quick_gelu" in activations and len(activations) > 1):
        raise CcsError(
            f"{named} has the activations {', '.join(sorted(activations))}; known are {', '.join(_ACTIVATIONS)}, "
            "quick_gelu in both encoders or in none."
        )
    highest_is_end = text["eos_token_id"] in (_LEGACY_END, text["vocab_size"] - 1)
    return open_clip.CLIP(
        embed_dim=config.get("projection_dim", 512),
        quick_gelu="quick_gelu" in activations,
        vision_cfg=_tower(vision)
        | {"head_width": vision["hidden_size"] // vision["num_attention_heads"]}
        | {"image_size": vision["image_size"], "patch_size": vision["patch_size"]},
        text_cfg=_tower(text)
        | {"heads": text["num_attention_heads"], "vocab_size": text["vocab_size"], "context_length": text["max_position_embeddings"]}
        | {"pool_type": "argmax" if highest_is_end else "eos", "eos_id": text["eos_token_id"]},
    )


def _tower(config: Mapping[str, Any]) -> dict[str, Any]:
    width = config["hidden_size"]
    return {
        "layers": config["num_hidden_layers"],
        "width": width,
        "mlp_ratio": (config["intermediate_size"] + 0.5) / width,  # open_clip rounds down
        "act_kwargs": _ACTIVATIONS[config["hidden_act"]],
        "norm_kwargs": {"eps": config["layer_norm_eps"]},
    }


def load_weights(clip: OpenClip, files: Iterable[Path], named: str) -> None:
    """Raises `CcsError` that names what a checkpoint lacks, has beside, or has in another shape."""
    found: dict[str, Tensor] = {}
    for file in files:
        try:
            found |= load_file(file)
        except (SafetensorError, OSError) as error:
            reason = " ".join(str(error).split())
            raise CcsError(f"The weights of {named} do not load: {file.name}: {reason[:200]}. Fetch it again.") from error
    sources, wanted = dict(_sources(clip)), clip.state_dict()
    used = {name for names in sources.values() for name in names}
    missing = [name for name in used if name not in found]
    unknown = [name for name in found if name not in used and name not in _BUFFERS]
    if missing or unknown:
        raise CcsError(_lacking(named, missing, unknown))
    state = {}
    for target, names in sources.items():
        value = torch.cat([found[name] for name in names]) if len(names) > 1 else found[names[0]]
        state[target] = (value.T if target in _OUTER else value).to(wanted[target].dtype).contiguous()
    shapes = [
        f"{' + '.join(sources[name])} {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
        for name, value in state.items()
        if value.shape != wanted[name].shape
    ]
    if shapes:
        raise CcsError(
            f"The weights of {named} do not have the shapes that its {TRANSFORMERS} says: {some(shapes, 3)}. Fetch it again, or mend "
            "the configuration."
        )
    clip.load_state_dict(state)


def _sources(clip: OpenClip) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every parameter of open_clip's model, and the names in transformers whose values, one below the other, it has."""
    yield "logit_scale", ("logit_scale",)
    yield from ((target, (source,)) for target, source in _OUTER.items())
    for ours, theirs, names, blocks in (
        ("", "text_model.", _TEXT_NAMES, clip.transformer.resblocks),
        ("visual.", "vision_model.", _VISION_NAMES, clip.visual.transformer.resblocks),
    ):
        yield from ((ours + target, (theirs + source,)) for target, source in names.items())
        for layer in range(len(blocks)):
            for target, sources in _BLOCK_NAMES.items():
                for part in ("weight", "bias"):
                    name = f"{ours}transformer.resblocks.{layer}.{target}" + (part if target.endswith("_") else f".{part}")
                    yield name, tuple(f"{theirs}encoder.layers.{layer}.{source}.{part}" for source in sources)


def _lacking(named: str, missing: Sequence[str], unknown: Sequence[str]) -> str:
    parts = [f"lacks {some(sorted(missing), 3)}"] if missing else []
    parts += [f"has {some(sorted(unknown), 3)}, which CLIP does not"] if unknown else []
    return (
        f"The checkpoint {named} is not that of a CLIPModel: it {', and it '.join(parts)}. Save the whole CLIPModel, without adapters or "
        "another class around it (model.merge_and_unload(), model.clip ...), with save_pretrained(FOLDER)."
    )


def tokenizer(folder: Path, clip: OpenClip, named: str) -> Callable:
    """CLIP's own for its own vocabulary, whether or not `transformers` is installed; any other by `transformers`.

    Raises `CcsError` where that is needed and not installed, or the files are not there.
    """
    check_vocabulary(folder, named)
    if _is_clips(folder, named):
        return open_clip.SimpleTokenizer(context_length=clip.context_length)
    try:
        import transformers
    except ImportError as error:
        raise CcsError(
            f"{named} has a tokenizer other than CLIP's, which needs Hugging Face's transformers, and that cannot be imported ({error}). "
            'pip install "ccs_exp[hf]".'
        ) from error
    try:
        # nothing is asked of the network or of the user, and no code of the checkpoint's is run
        found = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds; each means that the files are not those of a tokenizer
        reason = " ".join(str(error).split())
        raise CcsError(
            f"The tokenizer of {named} does not load ({type(error).__name__}: {reason[:200]}). Expected beside the weights is "
            "tokenizer.json, or vocab.json and merges.txt."
        ) from error
    return _Tokenizer(found, clip.context_length)


class _Tokenizer:
    """transformers' tokenizer called as open_clip's are."""

    def __init__(self, tokenizer: Any, context_length: int):
        self.tokenizer, self.context_length = tokenizer, context_length

    def __call__(self, texts: str | list[str]) -> Tensor:
        texts = [texts] if isinstance(texts, str) else texts
        options = {"padding": "max_length", "truncation": True, "max_length": self.context_length, "return_tensors": "pt"}
        return self.tokenizer(texts, **options)["input_ids"]


def _is_clips(folder: Path, named: str) -> bool:
    """Whether the vocabulary is CLIP's and used as CLIP does: then open_clip's tokenizer gives the same numbers."""
    settings = folder / "tokenizer_config.json"
    if settings.is_file() and read_json(settings, named).get("do_lower_case") is False:
        return False
    whole, vocabulary = folder / "tokenizer.json", folder / "vocab.json"
    if whole.is_file():
        model = read_json(whole, named).get("model", {})
        found = model.get("vocab") if model.get("type") == "BPE" else None
    else:
        found = read_json(vocabulary, named) if vocabulary.is_file() else None
    return isinstance(found, dict) and len(found) == _CLIP_VOCABULARY and found == _clips_vocabulary()


@cache
def _clips_vocabulary() -> dict[str, int]:
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}  # as OpenAI's files call them
    return {names.get(token, token): number for token, number in open_clip.SimpleTokenizer().encoder.items()}
