"""Descriptions encoded, against open_clip's `encode_text` at its full context.

python benchmarks/texts.py [--device cpu]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import torch
from timing import Result, close, compare, show
from torch.nn import functional as F

from ccs_exp.clip.loading import load_clip, open_clip
from ccs_exp.clip.text import TEXT_BATCH, encode_texts
from ccs_exp.scoring.pool import taxonomy_pool

DESCRIPTIONS = 350


def results(device: str = "cpu", small: bool = False) -> Iterator[Result]:
    count, repeats = (64, 1) if small else (DESCRIPTIONS, 2)
    model = load_clip("ViT-B-32", seed=0, device=device)
    peer = open_clip.create_model("ViT-B-32", device=device).eval()
    peer.load_state_dict(model.clip.state_dict())
    texts = taxonomy_pool("taxonomy", None).descriptions[:count]

    some = slice(None, None, 2)  # at full length texts are all alike: the other side does half of them

    def full_length() -> torch.Tensor:
        tokens = model.tokenizer(list(texts[some])).to(device)
        return torch.cat([peer.encode_text(batch) for batch in tokens.split(TEXT_BATCH)])

    yield compare(
        *(f"ViT-B-32, {len(texts):,} descriptions", "open_clip encode_text, 77 tokens"),
        lambda: encode_texts(model.clip, model.tokenizer, texts, model.device)[some],
        full_length,
        lambda a, b: close(1e-5)(F.normalize(a, dim=-1), F.normalize(b, dim=-1)),
        repeats=repeats,
        times=len(texts) / len(texts[some]),
        target=5.0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    with torch.inference_mode():
        sys.exit(not show(results(arguments.device), "Texts"))


if __name__ == "__main__":
    main()
