"""Kinds of image encoders at true shapes: does the sum law hold, and what do the scored heads of some images cost?

    python benchmarks/encoders.py [--images 64] [NAME ...]

Weights are random, every bias and gain drawn. The residual is that of heads, MLPs, biases, input and the pool's own parts against the
normalised embedding of two images; the libraries' own modules, in double precision, say what the parts are (`tests/clip/test_kinds.py`).
Seconds: reading the scored heads' moments in one pass over `--images` images, and TEXTSPAN on them with 3,498 descriptions.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "clip"))
import torch
from rich.console import Console
from rich.table import Table
from small_kinds import draw
from test_kinds import check_sum_law, pieces
from torch import nn

from ccs_exp.clip import transformers_clip
from ccs_exp.clip.loading import _build
from ccs_exp.clip.model import ClipModel, WeightsOrigin
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.scoring.textspan import textspan

TRANSFORMERS = "transformers CLIP"  # of its default shape, ViT-B/32
NAMES = ("ViT-B-32", TRANSFORMERS, "coca_ViT-B-32", "vit_medium_patch16_gap_256", "ViTamin-S", "MobileCLIP-B", "EVA02-B-16", "PE-Core-B-16")
NAMES += ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "ViT-L-14-CLIPA", "EVA01-g-14", "ViTamin-B", "vit_relpos_medium_patch16_cls_224")
BATCH, DESCRIPTIONS = 8, 3_498


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name != TRANSFORMERS:
        return draw(_build(name, 0, "cpu"))
    from transformers import CLIPConfig

    return draw(transformers_clip.built(CLIPConfig().to_dict(), name))


def row(name: str, images: int, checked: int) -> list[str]:
    clip = built(name)
    size = clip.visual.image_size
    pixels = torch.randn(checked, 3, *(size if isinstance(size, tuple) else (size, size)))
    found = pieces(clip, pixels)
    model = ClipModel(clip, lambda texts: texts, lambda image: image, name, WeightsOrigin("random", None))
    residual = check_sum_law(model, found, pixels)
    del found

    heads = model.scored_heads
    layers = range(heads[0].layer, heads[-1].layer + 1)
    moments, started = None, time.perf_counter()
    for batch in torch.randn(images, *pixels.shape[1:]).split(BATCH):
        of_batch = HeadMoments.of(heads, read_heads(model, batch, layers).coefficients)
        moments = of_batch if moments is None else moments + of_batch
    read = time.perf_counter() - started
    texts = nn.functional.normalize(torch.randn(DESCRIPTIONS, model.embedding_dim), dim=-1)
    started = time.perf_counter()
    assert moments is not None
    textspan(moments, contribution_maps(model, layers, "direct"), texts)
    spans = time.perf_counter() - started
    sizes = (len(heads), model.tower.coefficients_per_head)
    return [name, model.tower.kind, f"{residual:.1e}", *map(str, sizes), str(images), f"{read:.1f}", f"{spans:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--images", type=int, default=64, help="of the seconds")
    parser.add_argument("--checked", type=int, default=2, help="images of the residual")
    asked = parser.parse_args()
    table = Table("model", "kind", "residual", "heads", "coefficients", "images", "reading, s", "TEXTSPAN, s", box=None)
    with torch.inference_mode():
        for name in asked.names:
            cells = row(name, asked.images, asked.checked)
            print(*cells, sep=" | ", flush=True)
            table.add_row(*cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
